//! What a user gets for a failed run: the least plan, its story, and pictures of it.

use std::io;
use std::path::{Path, PathBuf};

use indicatif::ProgressBar;
use serde_json::{Value, json};
use simulator::orders::bugs::Bug;
use simulator::orders::{KeptPlan, Plan, cause, run_kept, sequence, shrink, timeline};

use crate::bar::bar;

/// A failure, written beside its plan.
pub(crate) struct Explained {
    needs: String,
    story: String,
    path: PathBuf,
    run_count: u32,
}

/// Shrinks `plan`, which fails, and writes the plan to `path`, the timeline and the sequence diagram
/// beside it. `None` when it does not fail.
pub(crate) fn explain(plan: &Plan, bug: Option<Bug>, run_count_max: u32, path: &Path) -> io::Result<Option<Explained>> {
    let bar: ProgressBar = bar(u64::from(run_count_max), "per_sec");
    let shrunk = shrink(plan, bug, run_count_max, &mut |runs, least| {
        bar.set_position(u64::from(runs));
        let faults = least.strikes.as_ref().map_or(0, Vec::len) + least.crashes.len();
        bar.set_message(format!("shrinking: {faults} faults, {} orders", least.orders.len()));
    });
    bar.finish_and_clear();
    let Some(shrunk) = shrunk else { return Ok(None) };
    let Ok(report) = run_kept(&shrunk.plan, bug) else { return Ok(None) };
    let Some(cause) = cause(&shrunk.plan, &report) else { return Ok(None) };
    let needs = shrunk.needs();
    let kept = KeptPlan { about: format!("{}: {needs}", shrunk.check), ..KeptPlan::of(shrunk.plan, bug, &report) };
    kept.write(path)?;
    let title = format!("seed {} on {}: {}", report.seed, report.broker, shrunk.check);
    std::fs::write(path.with_extension("html"), timeline(&title, &needs, &cause, &report.chronicle))?;
    std::fs::write(path.with_extension("mmd"), sequence(&cause))?;
    let (path, run_count) = (path.to_owned(), shrunk.run_count);
    Ok(Some(Explained { needs, story: cause.to_string(), path, run_count }))
}

impl Explained {
    pub(crate) fn print(&self) {
        let path = self.path.display();
        println!("\n{}  ({} runs to find out)\n\n{}\n", self.needs, self.run_count, self.story);
        println!("replay:   simulator replay {path}");
        println!("timeline: {}", self.path.with_extension("html").display());
        println!("sequence: {}", self.path.with_extension("mmd").display());
    }

    pub(crate) fn object(&self) -> Value {
        let story: Vec<&str> = self.story.lines().collect();
        json!({"failure": {"needs": self.needs, "story": story, "plan": self.path, "shrink_runs": self.run_count}})
    }
}
