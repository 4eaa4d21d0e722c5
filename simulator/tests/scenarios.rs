//! proptest draws scenarios as data: workload, faults, crashes and knobs; the runner is a function of them.
//!
//! The scenarios are the same in every run, so that a test that passed goes on passing; with
//! `SIMULATOR_SCENARIOS=N` there are N others. A counterexample is shrunk by proptest and then by the
//! simulator, and written to `tests/plans`, where `plans.rs` replays it for ever.

use std::collections::BTreeMap;
use std::path::Path;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use simulator::broker::Model;
use simulator::gate::Side;
use simulator::orders::bugs::Bug;
use simulator::orders::{Crash, FORMAT, Fault, KeptPlan, Plan, Strength, Wanted, run_as, shrink};

const CASES: u32 = 24;
const SHRINK_RUNS_MAX: u32 = 1_000;

fn wanted() -> impl Strategy<Value = Wanted> {
    let product = prop_oneof![6 => Just("book"), 1 => Just("rare"), 1 => Just("gold")];
    let parts = (0..9_000_u64, product, 1..6_u32, prop::option::weighted(0.2, 0..300_u64));
    parts.prop_map(|(at_ms, product, quantity, cancelled_after_ms)| Wanted {
        customer: 0,
        at_ms,
        product: product.to_owned(),
        quantity,
        price: if product == "gold" { "50000.01" } else { "19.99" }.to_owned(),
        cancelled_after_ms,
    })
}

fn crash() -> impl Strategy<Value = Crash> {
    let side = prop_oneof![Just(Side::Before), Just(Side::After)];
    (any::<bool>(), 2..120_u64, side).prop_map(|(is_consumer, call, side)| Crash { is_consumer, call, of: None, side })
}

fn faults(model: Model) -> impl Strategy<Value = BTreeMap<Fault, Strength>> {
    let known: Vec<Fault> = Fault::ALL.iter().copied().filter(|fault| fault.excluded_by(model).is_none()).collect();
    let strength = (1..250_u32, 50..8_000_u64).prop_map(|(per_mille, max_ms)| Strength { per_mille, max_ms });
    // The times of orders are drawn here: being named makes no burst of them.
    btree_map(select(known), strength, 0..12).prop_map(|mut faults| {
        faults.remove(&Fault::Burst);
        faults
    })
}

fn scenario() -> impl Strategy<Value = Plan> {
    let of_model = |model: Model| {
        let parts =
            (any::<u64>(), vec(wanted(), 1..8), faults(model), vec(crash(), 0..4), 5_000..40_000_u64, 0..2_000_u64);
        parts.prop_map(move |(seed, orders, faults, crashes, healed_at_ms, jitter_max_us)| {
            let orders = (0..).zip(orders).map(|(customer, wanted)| Wanted { customer, ..wanted });
            Plan {
                format: FORMAT,
                seed,
                broker: model.name().to_owned(),
                orders: orders.collect(),
                faults,
                strikes: None,
                crashes,
                healed_at_ms,
                jitter_max_us,
            }
        })
    };
    select(Model::ALL.to_vec()).prop_flat_map(of_model)
}

fn runner(case_count: Option<u32>) -> TestRunner {
    let cases = case_count.unwrap_or(CASES);
    // The simulator goes on with what is left.
    let config = Config { cases, max_shrink_iters: 40, failure_persistence: None, ..Config::default() };
    match case_count {
        None => TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha)),
        Some(_) => TestRunner::new(config),
    }
}

/// The counterexample, if there is one.
fn search(mut runner: TestRunner, bug: Option<Bug>) -> Option<Plan> {
    let outcome = runner.run(&scenario(), |plan| {
        let report = run_as(&plan, bug).map_err(|stale| TestCaseError::fail(stale.to_string()))?;
        match report.failure() {
            Some((check, why)) => Err(TestCaseError::fail(format!("{check}: {why}"))),
            None if report.work.accepted == 0 => Err(TestCaseError::fail("no order was accepted, nothing is shown")),
            None => Ok(()),
        }
    });
    match outcome {
        Ok(()) => None,
        Err(TestError::Fail(_, plan)) => Some(plan),
        Err(TestError::Abort(why)) => panic!("proptest gave up: {why}"),
    }
}

#[test]
fn the_order_system_survives_whatever_scenario_is_drawn() {
    let asked = std::env::var("SIMULATOR_SCENARIOS").ok().map(|count| count.parse().expect("a number"));
    let Some(found) = search(runner(asked), None) else { return };
    let shrunk = shrink(&found, None, SHRINK_RUNS_MAX, &mut |_, _| {}).expect("it failed");
    let path = format!("{}/tests/plans/found-{:x}.json", env!("CARGO_MANIFEST_DIR"), found.seed);
    let about = format!("{}: {}", shrunk.check, shrunk.needs());
    KeptPlan { about: about.clone(), hash: None, bug: None, plan: shrunk.plan }.write(Path::new(&path)).unwrap();
    panic!("{about}; kept as {path}");
}

#[test]
fn a_counterexample_is_shrunk_to_one_order_and_one_fault() {
    let found = search(runner(None), Some(Bug::AckBeforeCommit)).expect("the bug is found");
    let shrunk = shrink(&found, Some(Bug::AckBeforeCommit), SHRINK_RUNS_MAX, &mut |_, _| {}).expect("it fails");
    let fault_count = shrunk.plan.strikes.as_ref().map_or(0, Vec::len) + shrunk.plan.crashes.len();
    assert_eq!(fault_count, 1, "{}", shrunk.needs());
    assert!(shrunk.plan.orders.len() <= 1, "{}", shrunk.needs());
}
