//! Whether a kind of fault has an effect: the run that differs by it alone is another.

use super::fault::Fault;
use super::plan::{Plan, Profile};
use super::run::{StalePlan, run};
use crate::broker::Model;

/// Whether the one kind of fault in a plan of [`Profile::Only`] fires in its run, and changes it.
///
/// # Errors
/// As for [`run`].
pub fn matters(plan: &Plan, fault: Fault) -> Result<bool, StalePlan> {
    let with = run(plan)?;
    Ok(with.faults.contains_key(&fault) && with.plain_hash != run(&without(plan, fault))?.plain_hash)
}

/// The same plan without the fault.
fn without(plan: &Plan, fault: Fault) -> Plan {
    let mut without = plan.clone();
    without.faults.clear();
    // A loss is of a crash, which changes the run by itself.
    if fault != Fault::StoreLoss {
        without.crashes.clear();
    }
    if let (Fault::Burst, Some(model)) = (fault, Model::named(&plan.broker)) {
        without.orders = Plan::draw(plan.seed, model, Profile::Calm, plan.orders.len()).orders;
    }
    without
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(fault: Fault, seed: u64) -> Plan {
        Plan::draw(seed, Model::Sqs, Profile::Only(fault), 4)
    }

    #[test]
    fn what_happens_and_changes_nothing_does_not_matter() {
        let slow = only(Fault::PublishSlow, 1);
        assert_eq!(matters(&slow, Fault::PublishSlow), Ok(true));
        let mut inert = slow.clone();
        inert.faults.values_mut().for_each(|strength| strength.per_mille = 0);
        assert_eq!(matters(&inert, Fault::PublishSlow), Ok(false));
        assert_eq!(matters(&slow, Fault::AckLost), Ok(false), "another one");
    }

    #[test]
    fn a_loss_without_a_loss_still_crashes_and_a_crash_without_a_crash_does_not() {
        let (loss, crash) = (only(Fault::StoreLoss, 1), only(Fault::CrashAfter, 1));
        let (without_loss, without_crash) = (without(&loss, Fault::StoreLoss), without(&crash, Fault::CrashAfter));
        assert!(!loss.crashes.is_empty() && !crash.crashes.is_empty());
        assert_eq!((without_loss.crashes, without_loss.faults.len()), (loss.crashes, 0));
        assert_eq!((without_crash.crashes, without_crash.faults.len()), (Vec::new(), 0));
    }
}
