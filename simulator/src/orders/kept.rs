//! A plan on disk: what it shows, what run it made, and whether it still does.

use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::bugs::Bug;
use super::plan::Plan;
use super::report::Report;
use super::run::{StalePlan, run_as, run_kept};

/// A plan as it is stored and replayed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptPlan {
    /// What it shows, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub about: String,
    /// The [hash](Report::hash) of the run it made; `None` in a plan that outlives changes of the code: then
    /// everything that is written in it has to happen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
    /// The planted bug, by its [word](Bug::word).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bug: Option<String>,
    /// The plan.
    pub plan: Plan,
}

impl KeptPlan {
    /// A plan with the run it made.
    #[must_use]
    pub fn of(plan: Plan, bug: Option<Bug>, report: &Report) -> Self {
        Self { about: String::new(), hash: Some(report.hash.clone()), bug: bug.map(Bug::word), plan }
    }

    /// Reads a file.
    ///
    /// # Errors
    /// Those of reading it; a file that is no plan of this version is
    /// [`InvalidData`](io::ErrorKind::InvalidData).
    pub fn read(path: &Path) -> io::Result<Self> {
        // A truncated file is no end of a stream.
        serde_json::from_slice(&fs::read(path)?).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    /// Writes a file.
    ///
    /// # Errors
    /// Those of writing it.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        fs::write(path, serde_json::to_string_pretty(self)? + "\n")
    }

    /// Runs it, and keeps everything that happened if `is_kept`. `Ok`: it is the run that was meant, whether
    /// its checks pass or not.
    ///
    /// # Errors
    /// [`StalePlan`] when this program cannot run it as it was meant, with the difference.
    pub fn replay(&self, is_kept: bool) -> Result<Report, StalePlan> {
        let named = |name: &String| Bug::named(name).ok_or_else(|| StalePlan(format!("there is no bug `{name}`")));
        let bug = self.bug.as_ref().map(named).transpose()?;
        let report = if is_kept { run_kept(&self.plan, bug) } else { run_as(&self.plan, bug) }?;
        self.matches(&report)?;
        Ok(report)
    }

    /// Whether `report` is of the run that was meant.
    fn matches(&self, report: &Report) -> Result<(), StalePlan> {
        if let [first, ..] = report.unmet.as_slice() {
            let text = format!("{} of the faults written in it did not happen: {first}", report.unmet.len());
            return Err(StalePlan(text));
        }
        match &self.hash {
            Some(hash) if *hash != report.hash => {
                Err(StalePlan(format!("it made {hash} when it was stored and makes {} now", report.hash)))
            }
            None if self.plan.strikes.is_none() => {
                Err(StalePlan("it says neither what run it made nor what happens in it".to_owned()))
            }
            _ => Ok(()),
        }
    }
}
