//! Every unreadable message is among the dead letters, with a reason; and every dead letter has one.

use bus::dead_letter::Provenance;

use super::super::evidence::Evidence;
use super::Verdict;

pub(super) fn check(evidence: &Evidence) -> Verdict {
    let dead: Vec<String> = evidence.dead.iter().map(|message| message.id().to_string()).collect();
    let missing = evidence.planted.iter().filter(|id| !dead.contains(id));
    let missing = missing.map(|id| format!("unreadable message {id} is neither processed nor among the dead letters"));
    let unexplained = evidence.dead.iter().filter(|message| Provenance::of(message).reason.is_none());
    let unexplained = unexplained.map(|message| format!("dead letter {} has no reason", message.id()));
    Verdict::of(evidence.planted.len() + dead.len(), missing.chain(unexplained))
}
