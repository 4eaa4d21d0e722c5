//! Random schedules against a model: every message ends as its own outcomes say, in key order.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bus::ClockExt;
use bus::pipeline::{Backoff, Envelope, Failure, Handled, Policy};
use bus_memory::MemoryOptions;
use proptest::prelude::*;
use proptest::test_runner::{Config, FileFailurePersistence};
use tests::harness::{Counts, Rig, Work};
use tests::world::in_virtual_time;

/// What one start of a handler does, after a wait.
#[derive(Clone, Copy, Debug)]
enum Outcome {
    Ok,
    Retry,
    RetryAfter,
    Reject,
    Panic,
    Hang,
    Unavailable,
}

/// A message: its key, how its starts go (then they succeed), and how long each takes.
#[derive(Clone, Debug)]
struct Plan {
    key: u8,
    outcomes: Vec<Outcome>,
    takes_ms: u64,
}

/// How the pipeline runs.
#[derive(Clone, Debug)]
struct Setup {
    concurrency_max: usize,
    prefetch_count_max: usize,
    attempt_count_max: u32,
    is_durable: bool,
    answers_take_ms: u64,
}

/// What the model says of one message.
#[derive(Debug, PartialEq, Eq)]
struct Fate {
    attempts: Vec<u32>,
    is_dead: bool,
}

/// The model: outcomes one after the other, until one is final.
fn fate(plan: &Plan, attempt_count_max: u32) -> Fate {
    let mut fate = Fate { attempts: Vec::new(), is_dead: false };
    let mut attempt = 1;
    for outcome in plan.outcomes.iter().copied().chain([Outcome::Ok]) {
        fate.attempts.push(attempt);
        match outcome {
            Outcome::Ok => return fate,
            Outcome::Unavailable => {}
            Outcome::Reject => fate.is_dead = true,
            Outcome::Retry | Outcome::RetryAfter | Outcome::Panic | Outcome::Hang => {
                fate.is_dead = attempt == attempt_count_max;
                attempt += 1;
            }
        }
        if fate.is_dead {
            return fate;
        }
    }
    fate
}

async fn act(outcome: Outcome) -> Handled {
    match outcome {
        Outcome::Ok => Ok(()),
        Outcome::Retry => Err(Failure::Retry("retry".to_owned())),
        Outcome::RetryAfter => Err(Failure::RetryAfter(Duration::from_millis(70), "later".to_owned())),
        Outcome::Reject => Err(Failure::Reject("reject".to_owned())),
        // Without the hook: hundreds of expected panics would bury the one that matters.
        Outcome::Panic => std::panic::resume_unwind(Box::new("panic")),
        Outcome::Hang => std::future::pending().await,
        Outcome::Unavailable => Err(Failure::Unavailable("unavailable".to_owned())),
    }
}

/// A handler that follows the plans, start by start.
fn following(rig: &Rig, plans: &[Plan]) -> impl Fn(Envelope) -> Work + Send + Sync + use<> {
    let (plans, seams) = (plans.to_vec(), rig.seams.clone());
    let start_counts = Arc::new(Mutex::new(vec![0; plans.len()]));
    move |envelope| {
        let index: usize = envelope.message_id().to_string()[1..].parse().expect("an id of ours");
        let start = {
            let mut counts = start_counts.lock().expect("nothing panics while it holds this");
            counts[index] += 1;
            counts[index] - 1
        };
        let outcome = plans[index].outcomes.get(start).copied().unwrap_or(Outcome::Ok);
        let (takes, clock) = (Duration::from_millis(plans[index].takes_ms), Arc::clone(&seams.clock));
        Box::pin(async move {
            if !takes.is_zero() {
                clock.sleep(takes).await;
            }
            act(outcome).await
        })
    }
}

async fn play(plans: &[Plan], setup: &Setup) -> Result<(), TestCaseError> {
    let rig = Rig::on(MemoryOptions::default()).await;
    rig.meddler.slow_settle(Duration::from_millis(setup.answers_take_ms));
    rig.meddler.slow_receive(Duration::from_millis(setup.answers_take_ms));
    for (index, plan) in plans.iter().enumerate() {
        let key = if plan.key == 0 { String::new() } else { format!("key-{}", plan.key) };
        rig.publish(&key, &[&format!("m{index:03}")]).await;
    }
    let short = Backoff { first: Duration::from_millis(50), max: Duration::from_millis(400) };
    let policy = Policy {
        concurrency_max: setup.concurrency_max,
        prefetch_count_max: setup.prefetch_count_max,
        attempt_count_max: setup.attempt_count_max,
        handler_timeout: Duration::from_millis(500),
        retry: short,
        probe: short,
        ..Policy::default()
    };
    let mut pipeline = rig.pipeline(policy, following(&rig, plans));
    if setup.is_durable {
        let counts = Counts::new(rig.seams.clone());
        let takes = Duration::from_millis(setup.answers_take_ms);
        counts.slow_down(takes, 40 * takes);
        pipeline = pipeline.with_attempts(Arc::new(counts));
    }
    rig.process(pipeline).await;

    prop_assert!(rig.record.running_count_max() <= setup.concurrency_max);
    let dead: Vec<String> = rig.dead_letters().await.iter().map(|message| message.id().to_string()).collect();
    let mut last_of_key: BTreeMap<u8, (String, Duration)> = BTreeMap::new();
    for (index, plan) in plans.iter().enumerate() {
        let id = format!("m{index:03}");
        let runs = rig.record.runs_of(&id);
        let found = Fate { attempts: runs.iter().map(|run| run.attempt).collect(), is_dead: dead.contains(&id) };
        prop_assert_eq!(found, fate(plan, setup.attempt_count_max), "{}", id);
        let (started, ended) = (runs[0].started, runs[runs.len() - 1].ended.as_ref().expect("it ended").0);
        let before = if plan.key == 0 { None } else { last_of_key.insert(plan.key, (id.clone(), ended)) };
        if let Some((before, at)) = before {
            prop_assert!(at <= started, "{} started {:?}, {} ended {:?}", id, started, before, at);
        }
    }
    Ok(())
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        3 => Just(Outcome::Ok),
        3 => Just(Outcome::Retry),
        1 => Just(Outcome::RetryAfter),
        1 => Just(Outcome::Reject),
        1 => Just(Outcome::Panic),
        1 => Just(Outcome::Hang),
        1 => Just(Outcome::Unavailable),
    ]
}

fn plan() -> impl Strategy<Value = Plan> {
    let takes_ms = prop_oneof![Just(0), 1..30_u64];
    (0..4_u8, prop::collection::vec(outcome(), 0..5), takes_ms).prop_map(|(key, outcomes, takes_ms)| Plan {
        key,
        outcomes,
        takes_ms,
    })
}

fn setup() -> impl Strategy<Value = Setup> {
    let numbers = (1..5_usize, 1..20_usize, 1..4_u32);
    let answers_take_ms = prop_oneof![Just(0), 1..10_u64];
    (numbers, any::<bool>(), answers_take_ms).prop_map(|(numbers, is_durable, answers_take_ms)| {
        let (concurrency_max, prefetch_count_max, attempt_count_max) = numbers;
        Setup { concurrency_max, prefetch_count_max, attempt_count_max, is_durable, answers_take_ms }
    })
}

proptest! {
    #![proptest_config(Config {
        cases: 64,
        failure_persistence: Some(Box::new(FileFailurePersistence::Off)),
        ..Config::default()
    })]

    #[test]
    fn every_message_ends_as_its_outcomes_say_and_each_key_keeps_its_order(
        plans in prop::collection::vec(plan(), 1..40),
        setup in setup(),
    ) {
        in_virtual_time(play(&plans, &setup))?;
    }
}
