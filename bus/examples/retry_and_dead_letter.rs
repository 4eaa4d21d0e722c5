//! What fails for a while is tried again; what fails for good is kept.
//!
//! Shows two orders that fail: one gets through at its third attempt, the other ends in the dead
//! letters, is read there with its reason, and is replayed once the cause is mended.
//!
//! ```text
//! cargo run -p bus --example retry_and_dead_letter
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bus::pipeline::{Backoff, Envelope, Failure, Policy};
use bus::typed::Front;
use bus::{
    BusExt, Declaration, Destination, MessageKey, Outgoing, ReceiverExt, Result, Seams, SubscribeOptions, Subscription,
    dead_letter,
};
use bus_memory::{MemoryBus, MemoryOptions};
use tokio_util::sync::CancellationToken;

#[tokio::main(flavor = "current_thread")]
pub(crate) async fn main() -> Result<()> {
    let seams = Seams::system();
    let front = Front::new(MemoryBus::new(seams.clone(), MemoryOptions::default()), seams);
    let orders = Destination::new("orders")?;
    front.bus().declare(&[Declaration::of(orders.clone())]).await?;
    for order in ["ORD-1", "ORD-2"] {
        front.publish_json(&orders, MessageKey::new(order)?, order).await?;
    }

    let shutdown = CancellationToken::new();
    let is_in_catalogue = Arc::new(AtomicBool::new(false));
    let (done, catalogue) = (shutdown.clone(), Arc::clone(&is_in_catalogue));
    let process = move |order: String, envelope: Envelope| {
        let attempt = envelope.attempt();
        let fault = match order.as_str() {
            "ORD-1" if attempt < 3 => Some("the printer has no paper"),
            "ORD-2" if !catalogue.load(Ordering::Relaxed) => Some("no such product"),
            _ => None,
        };
        println!("{order}, attempt {attempt}: {}", fault.unwrap_or("processed"));
        if order == "ORD-2" && fault.is_none() {
            done.cancel();
        }
        async move { fault.map_or(Ok(()), |cause| Err(Failure::Retry(cause.to_owned()))) }
    };
    let pipeline = front.subscribe_json(Subscription::to(orders.clone()), process).with_policy(Policy {
        attempt_count_max: 3,
        retry: Backoff { first: Duration::from_millis(5), max: Duration::from_millis(10) },
        ..Policy::default()
    });

    let (ran, replayed) = tokio::join!(pipeline.run(shutdown), replay(&front, &orders, &is_in_catalogue));
    ran.and(replayed)
}

/// Waits for a dead letter, mends what it complains of, and sends it back where it came from.
async fn replay(front: &Front, orders: &Destination, is_in_catalogue: &AtomicBool) -> Result<()> {
    let dead_letters = Subscription::to(orders.dead_letters()?);
    let receiver = front.bus().subscribe(&dead_letters, SubscribeOptions::default()).await?;
    let mut deliveries = Vec::new();
    receiver.receive(1, &mut deliveries).await?;
    for delivery in deliveries {
        let message = delivery.message().clone();
        let header = |name| message.headers().text(name).unwrap_or_default();
        println!("dead letter: {}", header(dead_letter::REASON));
        is_in_catalogue.store(true, Ordering::Relaxed);
        let back_to = Destination::new(header(dead_letter::DESTINATION))?;
        println!("replayed to {back_to}, now that the product is in the catalogue");
        // Accepted first, removed then: killed in between it is there twice, and never lost.
        front.bus().publish_one(Outgoing::new(back_to, message)).await.into_result()?;
        let _ = receiver.settle_one(delivery.ack()).await;
    }
    Ok(())
}
