//! What happened in a run as a plan: the same faults by name instead of by dice.

use super::fault::Fault;
use super::plan::Plan;
use super::report::Report;

/// The plan that makes the run of `kept` again, whatever the dice say: each fault is a
/// [`Strike`](super::Strike) of its own, and each crash is one at the n-th call of its kind. Kinds that
/// never fired are left out.
///
/// `kept` is a run of `plan` by [`run_kept`](super::run_kept).
#[must_use]
pub fn concrete(plan: &Plan, kept: &Report) -> Plan {
    let is_struck = |fault: &Fault| kept.strikes.iter().any(|strike| strike.fault == *fault);
    let is_there = |fault: &Fault| kept.faults.contains_key(fault) && (fault.happens_by_presence() || is_struck(fault));
    let faults = plan.faults.iter().filter(|(fault, _)| is_there(fault)).map(|(fault, strength)| (*fault, *strength));
    Plan {
        faults: faults.collect(),
        strikes: Some(kept.strikes.iter().filter(|strike| is_there(&strike.fault)).cloned().collect()),
        crashes: kept.crashes.clone(),
        ..plan.clone()
    }
}
