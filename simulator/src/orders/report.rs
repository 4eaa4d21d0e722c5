//! What came of one run.

use std::collections::BTreeMap;

use serde::Serialize;

use super::checks::Verdict;
use super::fault::Fault;
use super::plan::{Crash, Plan, Strike};
use super::tally::Work;
use crate::chronicle::Event;

/// What came of one run.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// The broker.
    pub broker: String,
    /// Each check's verdict, by name.
    pub checks: Vec<(&'static str, Verdict)>,
    /// Why the run has no end, if it has none.
    pub stuck: Option<String>,
    /// What something panicked with, if it did: the run ended there.
    pub panicked: Option<String>,
    /// The rolling hash over all events, in hexadecimal.
    pub hash: String,
    /// The same without the notes that a fault happens: two runs in which it differs were different.
    pub plain_hash: String,
    /// How many events there were.
    pub events: u64,
    /// How long it took in virtual time, in milliseconds.
    pub virtual_ms: u64,
    /// How often each kind of fault fired.
    pub faults: BTreeMap<Fault, u64>,
    /// The work that was done.
    pub work: Work,
    /// Calls through a seam until everything was healed, of the producer and of the consumer.
    pub calls: [u64; 2],
    /// What is written in the plan and did not happen: it does not match this program any more.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unmet: Vec<String>,
    /// Everything that happened and was told: of [`run_kept`](super::run_kept).
    #[serde(skip)]
    pub chronicle: Vec<Event>,
    /// The faults that happened, in the words of a plan: of [`run_kept`](super::run_kept), and of a plan that writes them down.
    #[serde(skip)]
    pub strikes: Vec<Strike>,
    /// The crashes that happened, each at the n-th call of its kind.
    #[serde(skip)]
    pub crashes: Vec<Crash>,
}

impl Report {
    /// The first check that failed, with its reason.
    #[must_use]
    pub fn failure(&self) -> Option<(&'static str, &str)> {
        if let Some(panicked) = &self.panicked {
            return Some(("no panic", panicked));
        }
        if let Some(stuck) = &self.stuck {
            return Some(("progress", stuck));
        }
        self.checks.iter().find_map(|(name, verdict)| match verdict {
            Verdict::Fail(why) => Some((*name, why.as_str())),
            Verdict::Pass | Verdict::Vacuous(_) => None,
        })
    }

    /// Why it proves nothing: no order was completed, or no fault fired though some were planned.
    #[must_use]
    pub fn vacuous(&self, plan: &Plan) -> Option<&'static str> {
        if self.work.accepted == 0 || self.work.completed == 0 {
            Some("no order was completed")
        } else if !plan.faults.is_empty() && self.faults.is_empty() && self.work.crashes == 0 {
            Some("no fault fired")
        } else {
            None
        }
    }

    /// `pass`, `fail` or `vacuous`.
    #[must_use]
    pub fn verdict(&self, plan: &Plan) -> &'static str {
        match (self.failure(), self.vacuous(plan)) {
            (Some(_), _) => "fail",
            (None, Some(_)) => "vacuous",
            (None, None) => "pass",
        }
    }
}
