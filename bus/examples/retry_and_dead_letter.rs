//! What fails for a while is tried again; what fails for good is kept.
//!
//! Shows two orders that fail: one gets through at its third attempt, the other ends in the dead
//! letters, is read there with its reason, and is replayed once the cause is mended.
//!
//! ```text
//! cargo run -p bus --example retry_and_dead_letter
//! ```

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bus::pipeline::{Backoff, Envelope, Failure, Policy};
use bus::typed::Front;
use bus::{
    BusExt, Declaration, Destination, MessageKey, Outgoing, ReceiverExt, Result, Seams, SubscribeOptions, Subscription,
    dead_letter,
};
use bus_memory::{MemoryBus, MemoryOptions};
use tokio_util::sync::CancellationToken;

const ATTEMPT_COUNT_MAX: u32 = 3;

#[tokio::main(flavor = "current_thread")]
pub(crate) async fn main() -> Result<()> {
    let seams = Seams::system();
    let front = Front::new(MemoryBus::new(seams.clone(), MemoryOptions::default()), seams);
    let orders = Destination::new("orders")?;
    front.bus().declare(&[Declaration::of(orders.clone())]).await?;
    for order in ["ORD-1", "ORD-2"] {
        front.publish_json(&orders, MessageKey::new(order)?, order).await?;
    }
    process(&front, &orders, 2, "no such product").await?;
    replay(&front, &orders).await?;
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

/// Reads the dead letter and sends it back where it came from.
async fn replay(front: &Front, orders: &Destination) -> Result<()> {
    let dead_letters = Subscription::to(orders.dead_letters()?);
    let receiver = front.bus().subscribe(&dead_letters, SubscribeOptions::default()).await?;
    let mut deliveries = Vec::new();
    receiver.receive(1, &mut deliveries).await?;
    for delivery in deliveries {
        let message = delivery.message().clone();
        let header = |name| message.headers().text(name).unwrap_or_default();
        println!("dead letter: {}", header(dead_letter::REASON));
        let origin = Destination::new(header(dead_letter::DESTINATION))?;
        println!("the product is in the catalogue now: replayed to {origin}");
        // First accepted, then removed: killed in between it is in both places, and never lost.
        front.bus().publish_one(Outgoing::new(origin, message)).await.into_result()?;
        let _ = receiver.settle_one(delivery.ack()).await;
    }
    Ok(())
}
