//! A message is with one handler at a time: whoever lost it has let go before the next one begins.

use super::super::evidence::Evidence;
use super::Verdict;

pub(super) fn check(evidence: &Evidence) -> Verdict {
    let faults = evidence.seen.shared_messages.iter();
    Verdict::of(
        evidence.seen.runs.len(),
        faults.map(|message| format!("message {message} was with two handlers at once")),
    )
}
