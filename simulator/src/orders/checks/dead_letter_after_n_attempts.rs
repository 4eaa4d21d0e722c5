//! No message gets more attempts than there are, whoever dies meanwhile; and a dead letter that nobody rejected has
//! had them all.

use bus::dead_letter::Provenance;
use bus::pipeline::Policy;

use super::super::evidence::Evidence;
use super::super::watch::{Ended, Runs};
use super::Verdict;

pub(super) fn check(evidence: &Evidence) -> Verdict {
    let limit = Policy::default().attempt_count_max;
    let too_many = evidence.seen.runs.iter().filter_map(|((_, id), runs)| {
        let count = runs.attempt_max.max(runs.failed_count);
        (count > limit).then(|| format!("message {id} had {count} attempts of {limit}"))
    });
    let too_early = evidence.dead.iter().filter_map(|dead| {
        let Provenance { rejected_by, reason, .. } = Provenance::of(dead);
        let runs = evidence.seen.runs_of(&rejected_by?.to_string(), &dead.id().to_string());
        let count = runs.map_or(0, |runs| attempt_count(runs, evidence.burnt_count_max));
        let is_due = count >= limit || runs.is_some_and(|runs| runs.last == Ended::Rejected);
        (!is_due).then(|| {
            let id = dead.id();
            format!("message {id} is a dead letter ({reason:?}) after {count} attempts of {limit}: {runs:?}")
        })
    });
    let is_dead = |id: &str| evidence.dead.iter().any(|dead| dead.id().to_string() == id);
    let never = evidence.seen.runs.iter().filter(|(_, runs)| runs.failed_count >= limit);
    let never = never.filter(|((queue, id), _)| !evidence.seen.ids_of(queue, id).any(is_dead));
    let never = never.map(|((_, id), _)| format!("message {id} failed {limit} times and is no dead letter"));
    Verdict::of(evidence.seen.runs.len(), too_many.chain(too_early).chain(never))
}

/// Attempts that were used up: by runs that were seen, and by starts that were counted and came to nothing, of which
/// each needs a death or a fault that can have been its end.
fn attempt_count(runs: &Runs, burnt_count_max: u32) -> u32 {
    runs.spent_count + runs.unspent_count().min(burnt_count_max)
}
