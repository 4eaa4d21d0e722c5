//! The pipeline over this bus: what a service sees of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::conformance::World;
use crate::conformance::rig::{Counts, Happened, Rig, Step};
use crate::conformance::world::body;
use crate::pipeline::{Envelope, Failure, Handled, Policy};
use crate::{ClockExt, Outgoing, dead_letter};

super::cases! { "pipeline":
    a_thousand_messages_over_16_keys_are_processed_in_order_per_key_eight_at_a_time [OrderPerKey],
    no_message_of_a_key_starts_before_the_one_before_it_is_settled,
    attempts_grow_by_handler_starts_only,
    a_failing_message_is_dead_after_exactly_3_attempts_with_its_reason [DeadLetters],
    a_rejected_message_is_dead_at_once [DeadLetters],
    a_retry_after_is_not_early [NackDelay],
    a_panic_is_a_failed_attempt,
}

const KEY_COUNT: usize = 16;
const CONCURRENCY: usize = 8;

/// Publishes `count` messages over 16 keys, their bodies key and number.
async fn publish_over_keys(rig: &Rig<'_>, count: usize) {
    let batch = (0..count).map(|index| {
        let key = format!("key-{}", index % KEY_COUNT);
        let message = rig.world.keyed(&key, &format!("{key}/{}", index / KEY_COUNT));
        Outgoing::new(rig.destination.clone(), message)
    });
    for batch in batch.collect::<Vec<_>>().chunks(100) {
        rig.world.publish_all(batch.to_vec()).await;
    }
}

fn key_of(step: &Step) -> (&str, usize) {
    let (key, number) = step.body.split_once('/').expect("bodies are key and number");
    (key, number.parse().expect("a number"))
}

async fn a_thousand_messages_over_16_keys_are_processed_in_order_per_key_eight_at_a_time(world: &World) {
    let rig = Rig::new(world, "in-order").await;
    publish_over_keys(&rig, 1_000).await;
    let (clock, while_running) = (Arc::clone(&world.seams.clock), world.unit() / 1_000);
    let work = move |_| {
        let clock = Arc::clone(&clock);
        async move {
            clock.sleep(while_running).await;
            Ok(())
        }
    };
    rig.settle(rig.pipeline(Policy { concurrency_max: CONCURRENCY, ..rig.policy() }, work), 1_000).await;
    let steps = rig.log.steps();
    let (mut next, mut running, mut most) = (BTreeMap::new(), 0, 0);
    for step in steps.iter() {
        match step.what {
            Happened::Started(_) => {
                let (key, number) = key_of(step);
                let expected: &mut usize = next.entry(key).or_default();
                assert_eq!(number, *expected, "{} started out of order", step.body);
                *expected += 1;
                running += 1;
                most = most.max(running);
            }
            Happened::Answered(_) | Happened::Cancelled => running -= 1,
            Happened::Settled => {}
        }
    }
    assert_eq!(next.values().sum::<usize>(), 1_000);
    assert!((2..=CONCURRENCY).contains(&most), "{most} handlers ran at the same time");
}

async fn no_message_of_a_key_starts_before_the_one_before_it_is_settled(world: &World) {
    let rig = Rig::new(world, "one-by-one").await;
    publish_over_keys(&rig, 160).await;
    rig.settle(rig.pipeline(rig.policy(), |_| std::future::ready(Ok(()))), 160).await;
    let mut open: BTreeSet<&str> = BTreeSet::new();
    let steps = rig.log.steps();
    for step in steps.iter() {
        match step.what {
            Happened::Started(_) => assert!(open.insert(key_of(step).0), "{} started too soon", step.body),
            Happened::Settled => assert!(open.remove(key_of(step).0), "{} was settled twice", step.body),
            Happened::Answered(_) | Happened::Cancelled => {}
        }
    }
}

/// Fails until attempt number `succeeds_on`.
fn fails_until(succeeds_on: u32) -> impl Fn(Envelope) -> std::future::Ready<Handled> + Send + Sync {
    move |envelope| {
        let is_early = envelope.attempt() < succeeds_on;
        std::future::ready(if is_early { Err(Failure::Retry("the third is the one".to_owned())) } else { Ok(()) })
    }
}

async fn attempts_grow_by_handler_starts_only(world: &World) {
    let rig = Rig::new(world, "attempts").await;
    world.publish(&rig.destination, &["1"]).await;
    let receiver = world.receiver(&rig.destination).await;
    for _ in 0..3 {
        world.release(&receiver, world.take(&receiver, 1).await).await;
        drop(world.take_one(&receiver).await);
    }
    receiver.close().await;
    let counts: Arc<Counts> = Arc::default();
    // Started, and cancelled by a shutdown.
    let idle =
        rig.pipeline(Policy { concurrency_max: 1, drain: world.unit(), ..rig.policy() }, |_| std::future::pending());
    let started = async |_: &CancellationToken| {
        rig.until("its handler started", || !rig.log.attempts_of("1").is_empty()).await;
    };
    rig.run(idle.with_attempts(counts.clone()), started).await;
    rig.settle(rig.pipeline(rig.policy(), fails_until(3)).with_attempts(counts), 1).await;
    assert_eq!(rig.log.attempts_of("1"), [1, 1, 2, 3], "neither receiving nor shutting down is an attempt");
}

async fn a_failing_message_is_dead_after_exactly_3_attempts_with_its_reason(world: &World) {
    let rig = Rig::new(world, "dead").await;
    world.publish(&rig.destination, &["bad", "good"]).await;
    let work = |envelope: Envelope| {
        let is_bad = envelope.message().body() == "bad";
        std::future::ready(if is_bad { Err(Failure::Retry("no such article".to_owned())) } else { Ok(()) })
    };
    rig.settle(rig.pipeline(Policy { attempt_count_max: 3, ..rig.policy() }, work), 2).await;
    assert_eq!(rig.log.attempts_of("bad"), [1, 2, 3]);
    assert_eq!(rig.log.attempts_of("good"), [1]);
    assert_dead(&rig, "bad", "no such article").await;
}

async fn a_rejected_message_is_dead_at_once(world: &World) {
    let rig = Rig::new(world, "rejected").await;
    world.publish(&rig.destination, &["bad"]).await;
    let work = |_| std::future::ready(Err(Failure::Reject("not an order".to_owned())));
    rig.settle(rig.pipeline(rig.policy(), work), 1).await;
    assert_eq!(rig.log.attempts_of("bad"), [1]);
    assert_dead(&rig, "bad", "not an order").await;
}

/// Asserts that `name` is in the dead letters with `reason`, and nothing on the subscription.
async fn assert_dead(rig: &Rig<'_>, name: &str, reason: &str) {
    let receiver = rig.world.graves(&rig.destination).await;
    let found = rig.world.take_one(&receiver).await;
    assert_eq!(body(&found), name);
    let written = found.message().headers().text(dead_letter::REASON).unwrap_or_default().to_owned();
    assert!(written.contains(reason), "its reason is {written:?}, not {reason:?}");
    rig.world.ack(&receiver, vec![found]).await;
    rig.world.nothing_comes(&rig.world.receiver(&rig.destination).await, "it is nowhere else").await;
}

async fn a_retry_after_is_not_early(world: &World) {
    let rig = Rig::new(world, "retry-after").await;
    world.publish(&rig.destination, &["1"]).await;
    let delay = 3 * world.unit();
    let work = move |envelope: Envelope| {
        let is_first = envelope.attempt() == 1;
        let later = Failure::RetryAfter(delay, "come back".to_owned());
        std::future::ready(if is_first { Err(later) } else { Ok(()) })
    };
    rig.settle(rig.pipeline(rig.policy(), work), 1).await;
    let starts = rig.log.starts_of("1");
    let [(1, first), (2, second)] = starts[..] else { panic!("two starts, not {starts:?}") };
    assert!(second.since(first) >= delay, "{:?} after it asked for {delay:?}", second.since(first));
}

async fn a_panic_is_a_failed_attempt(world: &World) {
    let rig = Rig::new(world, "panic").await;
    world.publish(&rig.destination, &["1"]).await;
    let work = async |envelope: Envelope| {
        if envelope.attempt() == 1 {
            // Without the hook, which would print what is meant to happen.
            std::panic::resume_unwind(Box::new("on purpose"));
        }
        Ok(())
    };
    rig.settle(rig.pipeline(rig.policy(), work), 1).await;
    assert_eq!(rig.log.attempts_of("1"), [1, 2]);
}
