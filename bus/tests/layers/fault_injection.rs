use std::sync::Arc;
use std::time::Duration;

use bus::entropy::SeededEntropy;
use bus::layer::{FaultCounts, FaultInjection, Faults, LayerExt, Retry, RetryPolicy};
use bus::middleware::{FaultInjection as HandlerFaultInjection, HandlerExt, HandlerFaultCounts, HandlerFaults};
use bus::pipeline::{Envelope, Policy};
use bus::{Delivery, Entropy, Seams, SettleOutcome};
use bus_memory::MemoryOptions;

use crate::rig::*;

const OFTEN: u32 = 300;

/// What a publisher and a consumer without any care saw, and which faults fired.
#[derive(Debug, PartialEq)]
struct Story {
    published: Vec<String>,
    consumed: Vec<String>,
    counts: FaultCounts,
}

/// Twenty messages, and a consumer that takes two seconds for each.
async fn story(seed: u64, faults: Faults) -> Story {
    let options = MemoryOptions { publish_atomic: false, ..MemoryOptions::default() };
    let rig = Rig::seeded(seed, options).await;
    let faults = FaultInjection::new(faults, &rig.seams);
    let report = faults.report();
    let rig = rig.wrapped(|bus, _| bus.layer(faults));
    let bodies: Vec<String> = (0..20).map(|number| format!("-{number}")).collect();
    let published = words(&rig.publish(&bodies.iter().map(String::as_str).collect::<Vec<_>>()).await);
    let consumed = Log::default();
    let receiver = rig.receiver().await;
    let consume = async {
        loop {
            let mut batch = Vec::new();
            if let Err(error) = receiver.receive(4, &mut batch).await {
                consumed.add(format!("{:?} {error}", rig.now()));
                rig.sleep(SECOND).await;
            }
            for delivery in batch {
                let (body, count) = (text(delivery.message()), delivery.receive_count());
                rig.sleep(2 * SECOND).await;
                let outcome = receiver.settle(vec![delivery.ack()]).await;
                consumed.add(format!("{:?} {body} {count:?} {outcome:?}", rig.now()));
            }
        }
    };
    assert!(rig.within(600 * SECOND, consume).await.is_none());
    Story { published, consumed: consumed.all(), counts: report.counts() }
}

type Kind = (&'static str, fn(&mut Faults), fn(&FaultCounts) -> u64);

const KINDS: [Kind; 9] = [
    ("publish refused", |faults| faults.publish_refused_per_mille = OFTEN, |counts| counts.publish_refused_count),
    ("publish lost", |faults| faults.publish_lost_per_mille = OFTEN, |counts| counts.publish_lost_count),
    (
        "publish answer lost",
        |faults| faults.publish_answer_lost_per_mille = OFTEN,
        |counts| counts.publish_answer_lost_count,
    ),
    (
        "publish duplicated",
        |faults| faults.publish_duplicated_per_mille = OFTEN,
        |counts| counts.publish_duplicated_count,
    ),
    ("receive failed", |faults| faults.receive_failed_per_mille = OFTEN, |counts| counts.receive_failed_count),
    ("settle lost", |faults| faults.settle_lost_per_mille = OFTEN, |counts| counts.settle_lost_count),
    (
        "settle answer lost",
        |faults| faults.settle_answer_lost_per_mille = OFTEN,
        |counts| counts.settle_answer_lost_count,
    ),
    ("lease cut", |faults| faults.lease_cut_per_mille = OFTEN, |counts| counts.lease_cut_count),
    (
        "slow",
        |faults| {
            faults.slow_per_mille = OFTEN;
            faults.slow_max = 5 * SECOND;
        },
        |counts| counts.slow_count,
    ),
];

fn everything() -> Faults {
    let mut faults = Faults::default();
    KINDS.iter().for_each(|(_, set, _)| set(&mut faults));
    faults
}

#[tokio::test(start_paused = true)]
async fn each_kind_fires_alone_and_changes_the_run() {
    let clean = story(1, Faults::default()).await;
    assert_eq!((clean.consumed.len(), clean.counts.total_count()), (20, 0));
    for (name, set, count) in KINDS {
        let mut faults = Faults::default();
        set(&mut faults);
        let story = story(1, faults).await;
        assert!(count(&story.counts) > 0, "{name} never fired");
        assert_eq!(story.counts.total_count(), count(&story.counts), "{name} fired alone: {}", story.counts);
        assert!(story.counts.to_string().starts_with(name), "{}", story.counts);
        assert!(story.published != clean.published || story.consumed != clean.consumed, "{name} changes nothing");
    }
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_is_the_same_run_and_another_seed_another() {
    let first = story(1, everything()).await;
    assert_eq!(story(1, everything()).await, first);
    assert_ne!(story(2, everything()).await, first);
}

#[tokio::test(start_paused = true)]
async fn a_kind_that_is_switched_on_shifts_no_other() {
    let refusing = Faults { publish_refused_per_mille: OFTEN, ..Faults::default() };
    let alone = story(1, refusing).await;
    let among_others = story(1, Faults { settle_lost_per_mille: OFTEN, slow_per_mille: OFTEN, ..refusing }).await;
    assert_eq!(among_others.published, alone.published);
    assert!(among_others.counts.slow_count > 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_told_is_what_is_on_the_bus() {
    let check = async |faults: Faults, told: &str, copies: [usize; 2]| {
        let rig = Rig::one_by_one().await;
        let faults = FaultInjection::new(faults, &rig.seams);
        let behind = Rig { bus: Arc::clone(&rig.bus), seams: rig.seams.clone() };
        let rig = rig.wrapped(|bus, _| bus.layer(faults));
        let bodies: Vec<String> = (0..50).map(|number| format!("a{number}")).collect();
        let outcomes = words(&rig.publish(&bodies.iter().map(String::as_str).collect::<Vec<_>>()).await);
        let there = behind.bodies().await;
        assert!(outcomes.iter().any(|word| word == told) || told == "accepted");
        for (body, outcome) in bodies.iter().zip(&outcomes) {
            let count = there.iter().filter(|found| *found == body).count();
            let fits = if outcome == told { copies.contains(&count) } else { count == 1 && outcome == "accepted" };
            assert!(fits, "{body}: {outcome}, {count} on the bus");
        }
        let mut in_order = there.clone();
        in_order.sort_by_key(|body| body[1..].parse::<usize>().expect("a number"));
        assert_eq!(there, in_order, "the order of a key stays");
        there.len()
    };
    let none = Faults::default();
    check(Faults { publish_refused_per_mille: OFTEN, ..none }, "refused Unavailable", [0, 0]).await;
    check(Faults { publish_lost_per_mille: OFTEN, ..none }, "unknown Timeout", [0, 0]).await;
    check(Faults { publish_answer_lost_per_mille: OFTEN, ..none }, "unknown Timeout", [1, 1]).await;
    let count = check(Faults { publish_duplicated_per_mille: OFTEN, ..none }, "accepted", [1, 2]).await;
    assert!(count > 50);
}

#[tokio::test(start_paused = true)]
async fn an_atomic_batch_fails_as_a_whole() {
    let mut whole_count = 0;
    for seed in 0..20 {
        let rig = Rig::seeded(seed, MemoryOptions::default()).await;
        let faults = Faults { publish_refused_per_mille: OFTEN, publish_lost_per_mille: OFTEN, ..Faults::default() };
        let faults = FaultInjection::new(faults, &rig.seams);
        let rig = rig.wrapped(|bus, _| bus.layer(faults));
        let outcomes = words(&rig.publish(&["a1", "b1", "a2", "-1"]).await);
        assert!(outcomes.iter().all(|word| *word == outcomes[0]), "{outcomes:?}");
        whole_count += usize::from(outcomes[0] != "accepted");
    }
    assert!((5..20).contains(&whole_count), "{whole_count} of 20 batches failed");
}

#[tokio::test(start_paused = true)]
async fn a_lost_settlement_comes_again_when_its_lease_ends_and_not_before() {
    let rig = Rig::new().await;
    let faults = FaultInjection::new(Faults { settle_lost_per_mille: 1_000, ..Faults::default() }, &rig.seams);
    let rig = rig.wrapped(|bus, _| bus.layer(faults));
    assert_eq!(words(&rig.publish(&["-1"]).await), ["accepted"]);
    let receiver = rig.receiver().await;
    let begun = rig.now();
    let delivery = rig.poll(&receiver).await.pop().expect("a delivery");
    let outcomes = receiver.settle(vec![delivery.ack()]).await;
    assert!(matches!(&outcomes[..], [SettleOutcome::Failed(_)]), "{outcomes:?}");
    let mut again: Vec<Delivery> = Vec::new();
    receiver.receive(1, &mut again).await.expect("received");
    // The lease is 30 s.
    assert_eq!(rig.now().since(begun), 30 * SECOND);
    assert_eq!(again[0].receive_count(), Some(2));
}

#[tokio::test(start_paused = true)]
async fn a_pipeline_and_a_retrying_publisher_come_through_all_of_it() {
    for seed in 0..10 {
        let rig = Rig::seeded(seed, MemoryOptions::default()).await;
        let faults = FaultInjection::new(everything(), &rig.seams);
        let report = faults.report();
        let policy = RetryPolicy { publish_count_max: 100, time_max: 600 * SECOND, ..RetryPolicy::default() };
        let rig = rig.wrapped(|bus, seams| bus.layer(faults).layer(Retry::new(policy, seams)));
        let mut bodies: Vec<String> =
            (0..30).map(|number| format!("{}{number}", ["a", "b", "-"][number % 3])).collect();
        let outcomes = words(&rig.publish(&bodies.iter().map(String::as_str).collect::<Vec<_>>()).await);
        assert!(outcomes.iter().all(|word| word == "accepted"), "seed {seed}: {outcomes:?}");
        let handled = Log::default();
        let log = handled.clone();
        let handler = move |envelope: Envelope| {
            log.add(text(envelope.message()));
            async { Ok(()) }
        };
        rig.run_pipeline(handler, Policy::default(), 1_800 * SECOND).await;
        let mut seen = handled.all();
        seen.sort();
        seen.dedup();
        bodies.sort();
        assert_eq!(seen, bodies, "seed {seed}");
        assert!(report.counts().total_count() > 20, "seed {seed}: {}", report.counts());
    }
}

/// Entropy that tells what it was asked for.
#[derive(Debug)]
struct Overheard(SeededEntropy, Log<&'static str>);

impl Entropy for Overheard {
    fn bits(&self, purpose: &'static str, identity: &str) -> u128 {
        self.1.add(purpose);
        self.0.bits(purpose, identity)
    }
}

#[tokio::test(start_paused = true)]
async fn with_everything_at_zero_it_draws_nothing_and_changes_nothing() {
    let rig = Rig::new().await;
    let purposes = Log::default();
    let entropy = Arc::new(Overheard(SeededEntropy::new(1), purposes.clone()));
    let seams = Seams { clock: rig.seams.clock.clone(), entropy };
    for slow_max in [Duration::ZERO, SECOND] {
        let faults = FaultInjection::new(Faults { slow_max, ..Faults::default() }, &seams);
        let report = faults.report();
        let behind = Rig { bus: Arc::clone(&rig.bus), seams: rig.seams.clone() };
        let rig = behind.wrapped(|bus, _| bus.layer(faults));
        let begun = rig.now();
        assert_eq!(words(&rig.publish(&["a1", "-1"]).await), ["accepted", "accepted"]);
        let receiver = rig.receiver().await;
        let mut batch = Vec::new();
        receiver.receive(2, &mut batch).await.expect("received");
        let settled = receiver.settle(batch.into_iter().map(Delivery::ack).collect()).await;
        assert!(settled.iter().all(SettleOutcome::is_settled), "{settled:?}");
        assert_eq!(rig.now(), begun);
        assert_eq!((report.counts().total_count(), report.counts().to_string()), (0, "none".to_owned()));
    }
    assert!(purposes.all().is_empty(), "{:?}", purposes.all());
}

#[tokio::test(start_paused = true)]
async fn handlers_fail_before_and_after_their_effect() {
    let check = async |faults: HandlerFaults, effect_counts: std::ops::RangeInclusive<usize>| {
        let rig = Rig::new().await;
        let bodies: Vec<String> = (0..40).map(|number| format!("-{number}")).collect();
        assert_eq!(rig.publish(&bodies.iter().map(String::as_str).collect::<Vec<_>>()).await.len(), 40);
        let faults = HandlerFaultInjection::new(faults, &rig.seams);
        let (report, effects) = (faults.report(), Log::default());
        let log = effects.clone();
        let handler = move |envelope: Envelope| {
            log.add(text(envelope.message()));
            async { Ok(()) }
        };
        let policy = Policy { attempt_count_max: 100, ..Policy::default() };
        rig.run_pipeline(handler.with(faults), policy, 600 * SECOND).await;
        let mut seen = effects.all();
        assert!(effect_counts.contains(&seen.len()), "{} effects", seen.len());
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), 40, "none is lost");
        report.counts()
    };
    let none = HandlerFaults::default();
    assert_eq!(check(none, 40..=40).await, HandlerFaultCounts::default());
    assert!(check(HandlerFaults { failed_per_mille: OFTEN, ..none }, 40..=40).await.failed_count > 5);
    let counts = check(HandlerFaults { success_lost_per_mille: OFTEN, ..none }, 45..=100).await;
    assert!(counts.success_lost_count > 5, "{counts}");
    let slow = HandlerFaults { slow_per_mille: OFTEN, slow_max: SECOND, ..none };
    assert!(check(slow, 40..=40).await.slow_count > 5);
}
