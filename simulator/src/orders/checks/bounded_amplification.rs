//! Whatever goes wrong, an order costs so many deliveries and calls and not more.

use super::super::evidence::Evidence;
use super::Verdict;

/// Deliveries of a run for each order and unreadable message, on average. The honest services needed
/// 72 at most in nightmares of a thousand seeds: whatever is down, all that waits is handed out and
/// given back with each probe.
const DELIVERIES_MAX: u64 = 200;
/// Calls between the services for each order, on average. The honest services needed 24.
const HTTP_CALLS_MAX: u64 = 60;

pub(super) fn check(evidence: &Evidence) -> Verdict {
    let orders = evidence.placed.len() as u64;
    // Where nothing was ordered the reconciler looks for itself.
    let things = (orders + evidence.planted.len() as u64).max(1);
    let counts = [
        ("deliveries", evidence.work.received, things * DELIVERIES_MAX),
        ("calls", evidence.work.http_calls, things * HTTP_CALLS_MAX),
    ];
    let faults = counts.into_iter().filter(|(_, count, max)| count > max);
    Verdict::of(
        evidence.placed.len(),
        faults.map(|(what, count, max)| format!("{count} {what} for {orders} orders, at most {max} are bearable")),
    )
}
