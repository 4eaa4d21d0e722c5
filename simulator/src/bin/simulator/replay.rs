//! A stored plan: run again, and only believed when it is the same run.

use std::io::ErrorKind;
use std::path::Path;
use std::process::ExitCode;

use simulator::orders::{KeptPlan, cause};

use crate::seeds::object;
use crate::{FAILED, PROVED_NOTHING, USAGE};

pub(crate) fn replay(path: &Path, is_json: bool, with_lines: bool) -> ExitCode {
    let kept = match KeptPlan::read(path) {
        Ok(kept) => kept,
        Err(error) => {
            let is_stale = error.kind() == ErrorKind::InvalidData;
            eprintln!("simulator: {}: {}{error}", path.display(), if is_stale { "stale plan: " } else { "" });
            return ExitCode::from(if is_stale { PROVED_NOTHING } else { USAGE });
        }
    };
    let report = match kept.replay(true) {
        Ok(report) => report,
        Err(stale) => {
            eprintln!("simulator: {}: {stale}", path.display());
            return ExitCode::from(PROVED_NOTHING);
        }
    };
    if with_lines {
        report.chronicle.iter().for_each(|event| println!("{event}"));
    }
    if is_json {
        println!("{}", object(&report, &kept.plan));
    } else if let Some(cause) = cause(&kept.plan, &report) {
        println!("seed {} on {} fails:\n{cause}", kept.plan.seed, kept.plan.broker);
    }
    if report.failure().is_some() {
        return ExitCode::from(FAILED);
    }
    if !is_json {
        println!("passed: {} events in {} ms of virtual time", report.events, report.virtual_ms);
    }
    ExitCode::SUCCESS
}
