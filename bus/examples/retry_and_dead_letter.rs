//! What fails for a while is tried again; what fails for good is kept.
//!
//! Shows two orders that fail: one gets through at its third attempt, the other ends in the dead
//! letters, is read there with its reason, and is replayed once the cause is mended.
//!
//! ```text
//! cargo run -p bus --example retry_and_dead_letter
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bus::dead_letter::{DeadLetters, Filter, Replay};
use bus::pipeline::{Backoff, Envelope, Failure, Policy};
use bus::typed::Front;
use bus::{Declaration, Destination, MessageKey, Result, Seams, Subscription};
use bus_memory::{MemoryBus, MemoryOptions};
use tokio_util::sync::CancellationToken;

const ATTEMPT_COUNT_MAX: u32 = 3;

#[tokio::main(flavor = "current_thread")]
pub(crate) async fn main() -> Result<()> {
    let seams = Seams::system();
    let front = Front::new(MemoryBus::new(seams.clone(), MemoryOptions::default()), seams.clone());
    let orders = Destination::new("orders")?;
    front.bus().declare(&[Declaration::of(orders.clone())]).await?;
    for order in ["ORD-1", "ORD-2"] {
        front.publish_json(&orders, MessageKey::new(order)?, order).await?;
    }
    process(&front, &orders, 2, "no such product").await?;
    replay(&front, &orders, seams).await?;
    process(&front, &orders, 1, "").await
}

/// Processes until `order_count` orders have succeeded or failed for good. ORD-2 fails with `fault`
/// while there is one.
async fn process(front: &Front, orders: &Destination, order_count: usize, fault: &'static str) -> Result<()> {
    let shutdown = CancellationToken::new();
    let (done, left_over) = (shutdown.clone(), AtomicUsize::new(order_count));
    let pipeline = front.subscribe_json(Subscription::to(orders.clone()), move |order: String, envelope: Envelope| {
        let attempt = envelope.attempt();
        let fault = match order.as_str() {
            "ORD-1" if attempt < 3 => "the printer has no paper",
            "ORD-2" => fault,
            _ => "",
        };
        println!("{order}, attempt {attempt}: {}", if fault.is_empty() { "processed" } else { fault });
        let is_over = fault.is_empty() || attempt == ATTEMPT_COUNT_MAX;
        if is_over && left_over.fetch_sub(1, Ordering::Relaxed) == 1 {
            done.cancel();
        }
        async move { if fault.is_empty() { Ok(()) } else { Err(Failure::Retry(fault.to_owned())) } }
    });
    let retry = Backoff { first: Duration::from_millis(5), max: Duration::from_millis(10) };
    let policy = Policy { attempt_count_max: ATTEMPT_COUNT_MAX, retry, ..Policy::default() };
    pipeline.with_policy(policy).run(shutdown).await
}

/// Lists the dead letters and sends them back where they came from.
async fn replay(front: &Front, orders: &Destination, seams: Seams) -> Result<()> {
    let patience = Duration::from_millis(20);
    let dead_letters = DeadLetters::of(Arc::clone(front.bus()), orders, seams)?.with_patience(patience);
    for letter in dead_letters.list(&Filter::default(), 10).await?.letters {
        println!("dead letter: {}", letter.provenance().reason.as_deref().unwrap_or("for no known reason"));
    }
    let replayed = dead_letters.replay(Replay::default(), CancellationToken::new(), |_| ()).await?;
    println!("the product is in the catalogue now: {} replayed", replayed.progress.replayed_count);
    Ok(())
}
