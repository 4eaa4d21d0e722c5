//! No message gets more attempts than there are, and a dead letter that nobody rejected has had them all.

use bus::dead_letter::Provenance;
use bus::pipeline::Policy;

use super::super::evidence::Evidence;
use super::super::watch::Ended;
use super::Verdict;

pub(super) fn check(evidence: &Evidence) -> Verdict {
    let limit = Policy::default().attempt_count_max;
    let too_many = evidence.seen.runs.iter().filter(|(_, runs)| runs.attempt_max > limit);
    let too_many = too_many.map(|((_, id), runs)| format!("message {id} had attempt {} of {limit}", runs.attempt_max));
    let too_early = evidence.dead.iter().filter_map(|dead| {
        let Provenance { rejected_by, reason, .. } = Provenance::of(dead);
        let runs = evidence.seen.runs_of(&rejected_by?.to_string(), &dead.id().to_string());
        let is_due = match runs {
            Some(runs) => runs.last == Ended::Rejected || runs.attempt_max == limit,
            None => false,
        };
        // A start that was counted and came to nothing, as its process died or the store's answer was
        // lost, has no run to be seen.
        let is_early = !is_due && !evidence.is_counting_disturbed;
        is_early.then(|| format!("message {} is a dead letter ({reason:?}) and was run as {runs:?}", dead.id()))
    });
    Verdict::of(evidence.seen.runs.len(), too_many.chain(too_early))
}
