//! The pipeline on a bus that does nothing itself.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bus::dead_letter::REASON;
use bus::emulation::delay::DUE_AT;
use bus::pipeline::{Backoff, Envelope, Failure, Handled, Pipeline, Policy};
use bus::{ClockExt, Contract, Subscription};
use bus_memory::MemoryOptions;
use tokio_util::sync::CancellationToken;

use crate::rig::*;

const KEY_COUNT: usize = 16;
const PER_KEY_COUNT: usize = 20;
const ATTEMPT_COUNT_MAX: u32 = 3;

/// What handlers saw.
#[derive(Default)]
struct Seen {
    /// Numbers in the order they were done with, by key.
    done: BTreeMap<String, Vec<usize>>,
    attempts: BTreeMap<String, u32>,
}

async fn everything_emulated() -> Rig {
    let options = MemoryOptions {
        dead_letters: false,
        nack_delay_max: None,
        delay_max: Some(3 * SECOND),
        ..MemoryOptions::default()
    };
    let needs = Contract {
        order_per_key: true,
        delay: MINUTE,
        nack_delay: 10 * MINUTE,
        dead_letter_after: Some(ATTEMPT_COUNT_MAX),
        ..Contract::default()
    };
    Rig::with(options, |bus, seams| needs.negotiate(bus.capability()).apply(bus, seams).expect("nothing refused")).await
}

#[tokio::test(start_paused = true)]
async fn keys_keep_their_order_over_failures_and_dead_letters_come_after_exactly_n_attempts() {
    let rig = everything_emulated().await;
    let mut batch = Vec::new();
    for number in 0..PER_KEY_COUNT {
        for key in 0..KEY_COUNT {
            let outgoing = rig.keyed(&format!("{}{number}", char::from(b'a' + u8::try_from(key).expect("small"))));
            batch.push(if number == 0 { outgoing.delayed(MINUTE) } else { outgoing });
        }
    }
    rig.publish_all(batch).await;

    let seen = Arc::new(Mutex::new(Seen::default()));
    let shared = Arc::clone(&seen);
    let clock = Arc::clone(&rig.seams.clock);
    let handler = Arc::new(move |envelope: Envelope| {
        let (seen, clock) = (Arc::clone(&shared), Arc::clone(&clock));
        async move { handle(&envelope, &seen, clock.now().since_origin()) }
    });
    let policy = Policy {
        attempt_count_max: ATTEMPT_COUNT_MAX,
        retry: Backoff { first: 40 * SECOND, max: 5 * MINUTE },
        concurrency_max: 8,
        ..Policy::default()
    };
    let subscription = Subscription::to(orders());
    let pipeline = Pipeline::new(Arc::clone(&rig.bus), subscription, handler, rig.seams.clone()).with_policy(policy);
    let stop = CancellationToken::new();
    let stopping = async {
        while rig.depth("orders").await.total_count() > 0 {
            rig.sleep(MINUTE).await;
        }
        stop.cancel();
    };
    let running = pipeline.run(stop.clone());
    let both = async { tokio::join!(running, stopping).0 };
    rig.seams.clock.timeout(10_000 * MINUTE, both).await.expect("it comes to an end").expect("subscribed");

    let seen = std::mem::take(&mut *seen.lock().expect("no handler panicked"));
    for (key, numbers) in &seen.done {
        // The first of each key was published with a delay: it had no claim to its place.
        let rest: Vec<usize> = numbers.iter().copied().filter(|number| *number != 0).collect();
        assert_eq!(rest, (1..PER_KEY_COUNT).collect::<Vec<_>>(), "{key}");
    }
    assert_eq!(seen.done.len(), KEY_COUNT);
    let dead = rig.receiver_of("orders-dlq").await;
    let found = rig.poll(&dead, SECOND).await;
    let poisoned = seen.attempts.keys().filter(|body| is_poison(body)).count();
    assert_eq!(found.len(), poisoned, "each once");
    for delivery in &found {
        assert!(is_poison(&body(delivery)));
        assert_eq!(seen.attempts[&body(delivery)], ATTEMPT_COUNT_MAX, "{}", body(delivery));
    }
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_shows_nothing_of_the_hops_it_came_by() {
    let rig = everything_emulated().await;
    let receiver = rig.receiver().await;
    rig.publish_all(vec![rig.outgoing("1").delayed(10 * SECOND)]).await;
    settled(&receiver, rig.take_one(&receiver).await.nack(MINUTE)).await;
    settled(&receiver, rig.take_one(&receiver).await.reject("bad")).await;
    assert!(rig.elapsed() >= 70 * SECOND);
    let dead = rig.receiver_of("orders-dlq").await;
    let found = rig.take_one(&dead).await;
    assert_eq!(found.message().headers().text(REASON), Some("bad"));
    let copy = rig.below.seen().pop().expect("it was published");
    assert_eq!((copy.message().headers().text(REASON), copy.message().headers().text(DUE_AT)), (Some("bad"), None));
}

fn is_poison(body: &str) -> bool {
    number(body) % 7 == 3
}

fn number(body: &str) -> usize {
    body[1..].parse().expect("a number")
}

/// Fails now and then, and poison always.
fn handle(envelope: &Envelope, seen: &Mutex<Seen>, now: Duration) -> Handled {
    let body = String::from_utf8_lossy(envelope.message().body()).into_owned();
    assert!(number(&body) != 0 || now >= MINUTE, "{body} came at {now:?}");
    let mut seen = seen.lock().expect("no handler panicked");
    let attempts = seen.attempts.entry(body.clone()).or_default();
    *attempts += 1;
    let is_last = *attempts == ATTEMPT_COUNT_MAX;
    let fails = is_poison(&body) || number(&body) % 5 == 1 && *attempts == 1;
    if !fails || is_last {
        seen.done.entry(body[..1].to_owned()).or_default().push(number(&body));
    }
    if fails { Err(Failure::Retry("the test says so".to_owned())) } else { Ok(()) }
}
