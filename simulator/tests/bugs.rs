//! Planted bugs are found, by faults alone, and what has no bug passes the same seeds.

use std::collections::BTreeMap;

use simulator::broker::Model;
use simulator::orders::bugs::Bug;
use simulator::orders::checks::Verdict;
use simulator::orders::{Fault, Plan, Profile, Report, run_as};

const ORDERS: usize = 10;
/// Seeds a bug has to show in. The table in the README is measured over a thousand.
const SEEDS: u64 = 100;

/// A check with what it found.
type Failed = (&'static str, String);

/// The check that failed; `None` as a bug: the services as they are.
fn failure(bug: Option<Bug>, plan: &Plan) -> Option<Failed> {
    run_as(plan, bug).expect("a plan of today").failure().map(|(check, why)| (check, why.to_owned()))
}

/// The plan of a seed in which customers change their minds: two who write one order at once are rare
/// otherwise, and the seeds of a test are few.
fn plan(seed: u64, model: Model) -> Plan {
    let mut plan = Plan::draw(seed, model, Profile::Swarm, ORDERS);
    for (number, wanted) in plan.orders.iter_mut().enumerate().filter(|(number, _)| number % 2 == 1) {
        wanted.cancelled_after_ms.get_or_insert(30 * number as u64);
    }
    plan
}

fn every_bug_is_found_on(model: Model) {
    let mut controls: BTreeMap<(Option<Bug>, u64), Option<Failed>> = BTreeMap::new();
    for bug in Bug::ALL {
        let found = (1..=SEEDS).find_map(|seed| {
            let plan = plan(seed, model);
            let found = failure(Some(bug), &plan)?;
            assert_ne!(found.0, "no panic", "{} is put together wrong: {}", bug.name(), found.1);
            let mut without =
                |control| controls.entry((control, seed)).or_insert_with(|| failure(control, &plan)).clone();
            assert_eq!(without(None), None, "the services as they are, seed {seed} on {}", model.name());
            // Short of a line of defence, some seeds harm a composition that has no bug: they show nothing.
            let is_the_bugs = bug.control().is_none_or(|control| without(Some(control)).is_none());
            is_the_bugs.then_some((seed, found.0))
        });
        let (seed, check) = found.unwrap_or_else(|| panic!("{} survives on {}", bug.name(), model.name()));
        println!("{} on {}: seed {seed}, {check}", bug.name(), model.name());
    }
}

#[test]
fn on_sqs_every_planted_bug_is_found_and_what_has_none_passes_the_same_seeds() {
    every_bug_is_found_on(Model::Sqs);
}

#[test]
fn on_sqs_fifo_every_planted_bug_is_found_and_what_has_none_passes_the_same_seeds() {
    every_bug_is_found_on(Model::SqsFifo);
}

#[test]
fn on_rabbitmq_every_planted_bug_is_found_and_what_has_none_passes_the_same_seeds() {
    every_bug_is_found_on(Model::RabbitMq);
}

#[test]
fn on_kafka_every_planted_bug_is_found_and_what_has_none_passes_the_same_seeds() {
    every_bug_is_found_on(Model::Kafka);
}

/// Whether the check of that name failed, whatever others say.
fn fails(report: &Report, name: &str) -> bool {
    report.checks.iter().any(|(own, verdict)| *own == name && matches!(verdict, Verdict::Fail(_)))
}

#[test]
fn attempts_too_few_or_too_many_are_found_also_where_deaths_and_faults_burn_some() {
    for bug in [Bug::DeadLetterTooEarly, Bug::StartsInMemory] {
        for model in Model::ALL {
            let found = (1..=SEEDS).find(|seed| {
                let report = run_as(&plan(*seed, model), Some(bug)).expect("a plan of today");
                let is_burnt = report.work.crashes > 0 && report.faults.contains_key(&Fault::StoreError);
                is_burnt && fails(&report, "dead letter after N attempts")
            });
            assert!(found.is_some(), "{} survives on {}", bug.name(), model.name());
        }
    }
}

#[test]
fn a_version_that_goes_back_is_found_though_all_is_well_in_the_end() {
    let plans = (1..=2 * SEEDS).flat_map(|seed| Model::ALL.map(|model| plan(seed, model)));
    let found = plans.into_iter().find(|plan| {
        let report = run_as(plan, Some(Bug::NoFencing)).expect("a plan of today");
        fails(&report, "versions never go back") && !fails(&report, "both sides equal")
    });
    let found = found.expect("a late write of a dead process is an old one");
    assert_eq!(failure(Bug::NoFencing.control(), &found), None, "without the bug no version goes back");
}

#[test]
fn where_nothing_goes_wrong_no_bug_shows() {
    for bug in Bug::ALL {
        for model in Model::ALL {
            let plan = Plan::draw(1, model, Profile::Calm, ORDERS);
            assert_eq!(failure(Some(bug), &plan), None, "{} on {}", bug.name(), model.name());
        }
    }
}
