//! The run of one order, crashed at each of its calls, before and after.

use simulator::broker::Model;
use simulator::orders::bugs::Bug;
use simulator::orders::{Fault, Plan, Profile, Unswept, crash_everywhere, run_as};

#[test]
fn a_crash_at_any_call_of_either_service_is_survived() {
    // One that holds what is out by connection, and one that commits a prefix; `run --sweep` does all four.
    for model in [Model::RabbitMq, Model::Kafka] {
        let plan = Plan::draw(1, model, Profile::Calm, 1);
        let swept = crash_everywhere(&plan, None, &mut |_| {}).expect("it passes");
        let fallen = swept.fallen.first().map(|point| (&point.plan.crashes, &point.check, &point.why));
        assert_eq!(fallen, None, "on {}", model.name());
        assert_eq!(swept.survived_count(), swept.point_count);
        assert!(swept.point_count > 50, "{} points", swept.point_count);
        println!("{}: {} of {} points survived", model.name(), swept.survived_count(), swept.point_count);
    }
}

#[test]
fn a_store_that_answers_too_early_does_not_survive_every_crash() {
    let plan = Plan::draw(1, Model::Sqs, Profile::Calm, 1);
    let swept = crash_everywhere(&plan, Some(Bug::AnswerBeforeSync), &mut |_| {}).expect("it passes without a crash");
    assert!(!swept.fallen.is_empty());
    assert!(swept.survived_count() > 0, "some calls are harmless");
}

#[test]
fn a_plan_that_has_crashes_or_does_not_pass_is_refused() {
    let mut plan = Plan::draw(1, Model::Sqs, Profile::Calm, 1);
    plan.broker = "gremlin".to_owned();
    assert!(matches!(crash_everywhere(&plan, None, &mut |_| {}), Err(Unswept::Stale(_))));
    let bug = Some(Bug::NoDeadLetter);
    let mut failing = (1..50).map(|seed| Plan::draw(seed, Model::Sqs, Profile::Only(Fault::Poison), 1));
    let fails = |plan: &Plan| run_as(plan, bug).expect("a plan of today").failure().is_some();
    let failing = failing.find(fails).expect("it is found");
    let unswept = crash_everywhere(&failing, bug, &mut |_| {}).expect_err("it fails without a crash");
    assert!(matches!(unswept, Unswept::Fails { .. }), "a failure is no stale plan: {unswept}");
    let crashing = (1..50).map(|seed| Plan::draw(seed, Model::Sqs, Profile::Swarm, 1));
    let crashing = crashing.into_iter().find(|plan| !plan.crashes.is_empty()).expect("one of fifty has some");
    let refused = crash_everywhere(&crashing, None, &mut |_| {}).expect_err("two crashes would be one too many");
    assert_eq!(refused, Unswept::HasCrashes);
}
