//! Random schedules against a model: every message ends as its own outcomes say, in key order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bus::ClockExt;
use bus::pipeline::{Backoff, Envelope, Failure, Handled, PipelineControl, Poison, Policy};
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
    poison: Poison,
    is_durable: bool,
    answers_take_ms: u64,
    /// Time until each pause by hand, and its length.
    pauses_ms: Vec<(u64, u64)>,
}

/// What the model says of one message.
#[derive(Debug, PartialEq, Eq)]
struct Fate {
    attempts: Vec<u32>,
    is_dead: bool,
}

/// The model: each key's messages one after the other, behind a parked one none is started; and the
/// parked keys.
fn fates(plans: &[Plan], setup: &Setup) -> (Vec<Fate>, BTreeSet<u8>) {
    let mut parked = BTreeSet::new();
    let mut next = |plan: &Plan| {
        if parked.contains(&plan.key) {
            return Fate { attempts: Vec::new(), is_dead: true };
        }
        let (fate, is_poison) = fate(plan, setup);
        if is_poison && setup.poison == Poison::Park && plan.key != 0 {
            parked.insert(plan.key);
        }
        fate
    };
    let fates = plans.iter().map(&mut next).collect();
    (fates, parked)
}

/// Outcomes one after the other, until one is final; and whether that was the last attempt's failure.
fn fate(plan: &Plan, setup: &Setup) -> (Fate, bool) {
    let mut fate = Fate { attempts: Vec::new(), is_dead: false };
    let mut attempt = 1;
    for outcome in plan.outcomes.iter().copied().chain([Outcome::Ok]) {
        fate.attempts.push(attempt);
        match outcome {
            Outcome::Ok => break,
            Outcome::Unavailable => {}
            Outcome::Reject => {
                fate.is_dead = true;
                break;
            }
            Outcome::Retry | Outcome::RetryAfter | Outcome::Panic | Outcome::Hang => {
                let is_last = attempt == setup.attempt_count_max;
                if is_last && setup.poison != Poison::Stop {
                    fate.is_dead = true;
                    return (fate, true);
                }
                attempt += u32::from(!is_last);
            }
        }
    }
    (fate, false)
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

/// Pauses and resumes until the queue is empty. Returns when each pause began and ended.
async fn interrupt(rig: &Rig, control: PipelineControl, setup: &Setup) -> Vec<(Duration, Duration)> {
    let mut pauses = Vec::new();
    for (after_ms, for_ms) in &setup.pauses_ms {
        rig.pass(Duration::from_millis(*after_ms)).await;
        let began = rig.elapsed();
        control.pause("by chance");
        rig.pass(Duration::from_millis(*for_ms)).await;
        control.resume();
        pauses.push((began, rig.elapsed()));
    }
    rig.emptied().await;
    // The last answer is still on its way to the pipeline.
    rig.pass(Duration::from_millis(setup.answers_take_ms + 1)).await;
    pauses
}

async fn play(plans: &[Plan], setup: &Setup) -> Result<(), TestCaseError> {
    let rig = Rig::on(MemoryOptions::default()).await;
    rig.meddler.slow_settle(Duration::from_millis(setup.answers_take_ms));
    rig.meddler.slow_receive(Duration::from_millis(setup.answers_take_ms));
    rig.meddler.slow_release(Duration::from_millis(setup.answers_take_ms));
    for (index, plan) in plans.iter().enumerate() {
        let key = if plan.key == 0 { String::new() } else { format!("key-{}", plan.key) };
        rig.publish(&key, &[&format!("m{index:03}")]).await;
    }
    let short = Backoff { first: Duration::from_millis(50), max: Duration::from_millis(400) };
    let policy = Policy {
        concurrency_max: setup.concurrency_max,
        prefetch_count_max: setup.prefetch_count_max,
        attempt_count_max: setup.attempt_count_max,
        poison: setup.poison,
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
    let (control, status) = (pipeline.control(), pipeline.status());
    let pauses = rig.alongside(pipeline, interrupt(&rig, control, setup)).await;

    prop_assert!(rig.record.running_count_max() <= setup.concurrency_max);
    let is_paused = |at: Duration| pauses.iter().any(|(began, ended)| *began < at && at < *ended);
    prop_assert!(rig.record.runs().iter().all(|run| !is_paused(run.started)), "started during a pause");
    let dead: Vec<String> = rig.dead_letters().await.iter().map(|message| message.id().to_string()).collect();
    for pair in dead.windows(2) {
        let key = |id: &str| plans[id[1..].parse::<usize>().expect("an id of ours")].key;
        prop_assert!(key(&pair[0]) == 0 || key(&pair[0]) != key(&pair[1]) || pair[0] < pair[1], "{dead:?}");
    }
    let (fates, parked) = fates(plans, setup);
    prop_assert_eq!(status.isolated().len(), parked.len(), "{:?}", status.isolated());
    let mut last_of_key: BTreeMap<u8, (String, Duration)> = BTreeMap::new();
    for (index, plan) in plans.iter().enumerate() {
        let id = format!("m{index:03}");
        let runs = rig.record.runs_of(&id);
        let found = Fate { attempts: runs.iter().map(|run| run.attempt).collect(), is_dead: dead.contains(&id) };
        prop_assert_eq!(&found, &fates[index], "{}", id);
        if runs.is_empty() {
            continue;
        }
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
    let poison = prop_oneof![Just(Poison::Skip), Just(Poison::Park), Just(Poison::Stop)];
    let answers_take_ms = prop_oneof![Just(0), 1..10_u64];
    let pauses_ms = prop::collection::vec((0..200_u64, prop_oneof![0..5_u64, 0..300_u64]), 0..6);
    let drawn = (numbers, poison, any::<bool>(), answers_take_ms, pauses_ms);
    drawn.prop_map(|(numbers, poison, is_durable, answers_take_ms, pauses_ms)| {
        let (concurrency_max, prefetch_count_max, attempt_count_max) = numbers;
        Setup { concurrency_max, prefetch_count_max, attempt_count_max, poison, is_durable, answers_take_ms, pauses_ms }
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
