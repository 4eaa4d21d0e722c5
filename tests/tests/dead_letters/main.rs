//! Dead letters on a bus that fails, over hours, and beside pipelines. What holds on every bus is
//! shown in the conformance suite.

mod failures;
mod leases;
mod pace;
mod passing;
mod reconnecting;
mod waiting;

use std::num::NonZeroU32;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bus::dead_letter::{DeadLetter, DeadLetters, Filter, Replay, Replayed};
use bus::{Bus, Delivery, SubscribeOptions};
use tests::harness::Rig;
use tokio_util::sync::CancellationToken;

const SECOND: Duration = Duration::from_secs(1);

/// The dead letters of the rig's queue, seen through its meddler.
fn of(rig: &Rig) -> DeadLetters {
    let bus: Arc<dyn Bus> = Arc::clone(&rig.meddler) as _;
    DeadLetters::of(bus, &rig.queue, rig.seams.clone()).expect("the memory bus keeps dead letters")
}

/// Publishes messages and rejects them.
async fn bury(rig: &Rig, ids: &[&str], reason: &str) {
    rig.publish("", ids).await;
    let receiver = rig.bus.subscribe(&rig.subscription(), SubscribeOptions::default()).await.expect("declared");
    let mut deliveries: Vec<Delivery> = Vec::new();
    receiver.receive(ids.len(), &mut deliveries).await.expect("just published");
    assert_eq!(deliveries.len(), ids.len());
    for outcome in receiver.settle(deliveries.into_iter().map(|delivery| delivery.reject(reason)).collect()).await {
        assert!(outcome.is_settled(), "{outcome:?}");
    }
}

async fn replay(rig: &Rig, replay: Replay) -> Replayed {
    let dead_letters = of(rig);
    // As a task of its own would need it.
    let replaying: Pin<Box<dyn Future<Output = bus::Result<Replayed>> + Send>> =
        Box::pin(dead_letters.replay(replay, CancellationToken::new(), |_| ()));
    replaying.await.expect("declared")
}

/// So many a second.
fn paced(per_second: u32) -> Replay {
    Replay { per_second_max: NonZeroU32::new(per_second), ..Replay::default() }
}

async fn all(rig: &Rig) -> Vec<DeadLetter> {
    of(rig).list(&Filter::default(), 100_000).await.expect("declared").letters
}

fn ids(letters: &[DeadLetter]) -> Vec<String> {
    letters.iter().map(|letter| letter.message().id().to_string()).collect()
}

/// Ids on the rig's queue.
async fn back(rig: &Rig) -> Vec<String> {
    rig.waiting().await.iter().map(|delivery| delivery.message().id().to_string()).collect()
}

/// Ids `m0`, `m1`, …
fn numbered(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("m{number}")).collect()
}
