//! What must be true at the end of every run, one property a file.

mod both_sides_equal;
mod conservation;
mod dead_letters_accounted_for;
mod effect_exactly_once;
mod no_accepted_order_lost;
mod no_phantom;
mod nothing_stuck;
mod outbox_complete;
mod versions_never_go_back;

use serde::Serialize;

use super::evidence::Evidence;

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "verdict", content = "because")]
pub enum Verdict {
    /// It holds, and there was something for it to hold of.
    Pass,
    /// It does not: how.
    Fail(String),
    /// There was nothing to show it by.
    Vacuous(String),
}

impl Verdict {
    /// The first fault, or a pass of `count` things.
    pub(super) fn of(count: usize, mut faults: impl Iterator<Item = String>) -> Self {
        match faults.next() {
            Some(fault) => Self::Fail(fault),
            None if count == 0 => Self::Vacuous("nothing to look at".to_owned()),
            None => Self::Pass,
        }
    }
}

type Check = (&'static str, fn(&Evidence) -> Verdict);

const CHECKS: [Check; 9] = [
    ("no accepted order lost", no_accepted_order_lost::check),
    ("no phantom", no_phantom::check),
    ("effect exactly once", effect_exactly_once::check),
    ("conservation", conservation::check),
    ("versions never go back", versions_never_go_back::check),
    ("both sides equal", both_sides_equal::check),
    ("nothing stuck", nothing_stuck::check),
    ("dead letters accounted for", dead_letters_accounted_for::check),
    ("outbox complete", outbox_complete::check),
];

/// The verdict of every check, by its name.
#[must_use]
pub fn all(evidence: &Evidence) -> Vec<(&'static str, Verdict)> {
    CHECKS.iter().map(|(name, check)| (*name, check(evidence))).collect()
}
