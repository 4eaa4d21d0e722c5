//! A stored plan: run again, and only believed when it is the same run.

use std::fs;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use serde::{Deserialize, Serialize};
use simulator::orders::{Plan, Report, run, run_with_lines};

use crate::sweep::object;
use crate::{FAILED, PROVED_NOTHING};

/// A plan with the hash of the run it made.
#[derive(Serialize, Deserialize)]
pub(crate) struct Stored {
    hash: String,
    plan: Plan,
}

impl Stored {
    pub(crate) fn of(plan: Plan, report: &Report) -> Self {
        Self { hash: report.hash.clone(), plan }
    }
}

pub(crate) fn save(path: &Path, stored: &Stored) -> io::Result<()> {
    fs::write(path, serde_json::to_string_pretty(stored)? + "\n")
}

pub(crate) fn replay(path: &Path, is_json: bool, with_lines: bool) -> ExitCode {
    let stored = fs::read(path).map_err(|error| error.to_string());
    let stored =
        stored.and_then(|text| serde_json::from_slice::<Stored>(&text).map_err(|error| format!("stale plan: {error}")));
    let Stored { hash, plan } = match stored {
        Ok(stored) => stored,
        Err(error) => {
            eprintln!("simulator: {}: {error}", path.display());
            return ExitCode::from(if error.starts_with("stale") { PROVED_NOTHING } else { 2 });
        }
    };
    let ran = if with_lines { run_with_lines(&plan) } else { run(&plan) };
    let report = match ran {
        Ok(report) => report,
        Err(stale) => {
            eprintln!("simulator: {}: {stale}", path.display());
            return ExitCode::from(PROVED_NOTHING);
        }
    };
    for (_, line) in &report.lines {
        println!("{line}");
    }
    if is_json {
        println!("{}", object(&report, &plan));
    }
    let failure = report.failure();
    if let Some((check, why)) = failure {
        println!("seed {} on {}: {check}: {why}", plan.seed, plan.broker);
    }
    if report.hash != hash {
        eprintln!(
            "simulator: {}: stale plan: it made {hash} when it was stored and makes {} now",
            path.display(),
            report.hash
        );
        return ExitCode::from(PROVED_NOTHING);
    }
    match failure {
        Some(_) => ExitCode::from(FAILED),
        None => {
            println!("passed: {} events in {} ms of virtual time", report.events, report.virtual_ms);
            ExitCode::SUCCESS
        }
    }
}
