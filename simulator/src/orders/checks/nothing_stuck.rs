//! Once healed, everything came to an end within its time, and nothing waits on the broker.

use super::super::evidence::Evidence;
use super::Verdict;

pub(super) fn check(evidence: &Evidence) -> Verdict {
    let pending = evidence.orders.iter().filter(|order| order["status"] == "PENDING");
    let pending = pending.map(|order| format!("{} is pending for ever", order["orderNumber"]));
    let waiting = evidence.waiting.iter().map(|message| format!("message {} waits for ever", message.id()));
    let restless = (!evidence.came_to_rest).then(|| "it did not come to rest".to_owned());
    Verdict::of(evidence.placed.len(), pending.chain(waiting).chain(restless))
}
