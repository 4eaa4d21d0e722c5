//! The order system under faults: the honest one passes, a broken one does not.

use std::process::{Command, Output};

use simulator::broker::Model;
use simulator::orders::checks::Verdict;
use simulator::orders::{Fault, Plan, Profile, Report, matters, run};

const ORDERS: usize = 8;

fn passes(plan: &Plan) -> Report {
    let report = run(plan).expect("a plan of today");
    assert_eq!(report.failure(), None, "seed {} on {}", plan.seed, plan.broker);
    report
}

#[test]
fn where_nothing_goes_wrong_nothing_is_done_twice() {
    for model in Model::ALL {
        for seed in 1..6 {
            let report = passes(&Plan::draw(seed, model, Profile::Calm, ORDERS));
            assert!(report.faults.is_empty(), "{:?}", report.faults);
            assert_eq!(report.work.received_again, 0, "no retry");
            assert_eq!(report.work.received, report.work.published, "each message is delivered once");
            assert_eq!(report.work.published, 4 * ORDERS as u64, "order, update, result and update of each order");
            assert_eq!(report.work.crashes, 0);
        }
    }
}

#[test]
fn under_swarms_of_faults_every_check_passes_and_there_was_work() {
    for model in Model::ALL {
        for seed in 1..16 {
            let plan = Plan::draw(seed, model, Profile::Swarm, ORDERS);
            let report = passes(&plan);
            assert_eq!(report.vacuous(&plan), None, "seed {seed} on {}", model.name());
            let vacuous = report.checks.iter().filter(|(_, verdict)| matches!(verdict, Verdict::Vacuous(_)));
            let vacuous: Vec<&str> = vacuous.map(|(name, _)| *name).collect();
            assert!(vacuous.iter().all(|name| *name == "dead letters accounted for"), "{vacuous:?}");
        }
    }
}

#[test]
fn under_everything_at_once_every_check_passes() {
    for model in Model::ALL {
        for seed in 1..6 {
            passes(&Plan::draw(seed, model, Profile::Nightmare, ORDERS));
        }
    }
}

#[test]
fn every_kind_of_fault_fires_on_every_broker_it_applies_to_and_changes_the_run() {
    for model in Model::ALL {
        for fault in Fault::ALL.iter().filter(|fault| fault.excluded_by(model).is_none()) {
            let found = (1..40).find(|seed| {
                let plan = Plan::draw(*seed, model, Profile::Only(*fault), ORDERS);
                passes(&plan);
                matters(&plan, *fault).expect("a plan of today")
            });
            assert!(found.is_some(), "{} is inert on {}", fault.name(), model.name());
        }
    }
}

#[test]
fn a_panic_and_a_standstill_are_failures_by_their_own_names() {
    let mut report = passes(&Plan::draw(1, Model::Sqs, Profile::Calm, 1));
    report.stuck = Some("stuck, waiting: shop".to_owned());
    assert_eq!(report.failure(), Some(("progress", "stuck, waiting: shop")));
    report.panicked = Some("no such order".to_owned());
    assert_eq!(report.failure(), Some(("no panic", "no such order")));
}

fn simulator(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_simulator")).args(arguments).output().expect("it starts")
}

#[test]
fn a_stored_plan_is_replayed_and_a_stale_one_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("plan.json");
    let file = path.to_str().unwrap();
    let saved = simulator(&["run", "--seed", "9", "--broker", "kafka", "--orders", "3", "--save", file]);
    assert_eq!(saved.status.code(), Some(0), "{saved:?}");
    assert_eq!(simulator(&["replay", file]).status.code(), Some(0));
    let text = std::fs::read_to_string(&path).unwrap();
    let other_hash = text.replacen("\"hash\": \"", "\"hash\": \"f", 1);
    let other_format = text.replace("\"format\": 3", "\"format\": 0");
    let misspelt = text.replace("\"cancelled_after_ms\"", "\"canceled_after_ms\"");
    let one_too_many = text.replacen("\"seed\":", "\"strike\": [], \"seed\":", 1);
    let without_hash = text.lines().filter(|line| !line.contains("\"hash\"")).collect();
    let texts = ["{}", "", "{\"plan\":"].map(str::to_owned);
    for stale in [other_hash, other_format, misspelt, one_too_many, without_hash].into_iter().chain(texts) {
        std::fs::write(&path, stale).unwrap();
        let replayed = simulator(&["replay", file]);
        let said = String::from_utf8_lossy(&replayed.stderr).into_owned();
        assert_eq!((replayed.status.code(), said.contains("stale plan")), (Some(3), true), "{said}");
        assert!(replayed.stdout.is_empty(), "no verdict of a run that was not meant: {replayed:?}");
    }
}

#[test]
fn exit_codes_tell_usage_from_proof() {
    assert_eq!(simulator(&["run", "--profile", "only:gremlins"]).status.code(), Some(2));
    let nothing = simulator(&["run", "--seed", "1", "--broker", "sqs", "--orders", "0"]);
    assert_eq!(nothing.status.code(), Some(3), "no order, no proof: {nothing:?}");
    let last = simulator(&["run", "--seed", &u64::MAX.to_string(), "--broker", "sqs", "--orders", "2"]);
    let said = String::from_utf8_lossy(&last.stdout).into_owned();
    assert!(said.contains("1 runs: 1 passed"), "the last of all seeds is run: {last:?}");
    let nowhere = ["run", "--seed", "1", "--broker", "sqs", "--orders", "2", "--save", "/no/such/folder/plan.json"];
    assert_eq!(simulator(&nowhere).status.code(), Some(2), "what cannot be saved is told");
    let folder = tempfile::tempdir().unwrap();
    let plan = folder.path().join("plan.json");
    let sweep = ["run", "--sweep", "--profile", "only:poison", "--seed", "1", "--broker", "rabbitmq", "--orders", "1"];
    let failing = ["--bug", "no-dead-letter", "--shrink-runs", "50", "--save", plan.to_str().unwrap()];
    let swept = simulator(&[sweep.as_slice(), &failing].concat());
    assert_eq!(swept.status.code(), Some(1), "a check that fails without a crash fails: {swept:?}");
    assert!(String::from_utf8_lossy(&swept.stderr).contains("fails without a crash"), "{swept:?}");
    assert!(plan.exists(), "and its plan is kept");
}
