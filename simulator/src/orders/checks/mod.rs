//! What must be true at the end of every run, one property a file.

mod both_sides_equal;
mod bounded_amplification;
mod conservation;
mod dead_letter_after_n_attempts;
mod dead_letters_accounted_for;
mod effect_exactly_once;
mod lease_exclusivity;
mod no_accepted_order_lost;
mod no_phantom;
mod nothing_stuck;
mod order_per_key;
mod outbox_complete;
mod processed_once;
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

const CHECKS: [Check; 14] = [
    ("no accepted order lost", no_accepted_order_lost::check),
    ("no phantom", no_phantom::check),
    ("effect exactly once", effect_exactly_once::check),
    ("conservation", conservation::check),
    ("versions never go back", versions_never_go_back::check),
    ("both sides equal", both_sides_equal::check),
    ("nothing stuck", nothing_stuck::check),
    ("dead letters accounted for", dead_letters_accounted_for::check),
    ("outbox complete", outbox_complete::check),
    ("processed once", processed_once::check),
    ("order per key", order_per_key::check),
    ("lease exclusivity", lease_exclusivity::check),
    ("dead letter after N attempts", dead_letter_after_n_attempts::check),
    ("bounded amplification", bounded_amplification::check),
];

/// The verdict of every check, by its name.
#[must_use]
pub fn all(evidence: &Evidence) -> Vec<(&'static str, Verdict)> {
    CHECKS.iter().map(|(name, check)| (*name, check(evidence))).collect()
}
