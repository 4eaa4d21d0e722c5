//! Two consumers share the work of one destination.
//!
//! Shows that each message goes to one of them, and that the steps of one order stay in their order
//! whoever gets them: no step starts before the one before it is settled.
//!
//! ```text
//! cargo run -p bus --example competing_consumers
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bus::pipeline::{Pipeline, Policy};
use bus::typed::Front;
use bus::{ClockExt, Declaration, Destination, MessageKey, Result, Seams, Subscription};
use bus_memory::{MemoryBus, MemoryOptions};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

const ORDERS: [&str; 3] = ["ORD-1", "ORD-2", "ORD-3"];
const STEPS: [&str; 4] = ["check stock", "take payment", "pack", "ship"];

#[derive(Serialize, Deserialize)]
struct Step {
    order: String,
    what: String,
}

#[tokio::main(flavor = "current_thread")]
pub(crate) async fn main() -> Result<()> {
    let seams = Seams::system();
    let front = Front::new(MemoryBus::new(seams.clone(), MemoryOptions::default()), seams.clone());
    let steps = Destination::new("steps")?;
    front.bus().declare(&[Declaration::of(steps.clone())]).await?;

    let mut batch = Vec::new();
    for what in STEPS {
        for order in ORDERS {
            batch.push((MessageKey::new(order)?, Step { order: order.to_owned(), what: what.to_owned() }));
        }
    }
    for outcome in front.publish_all_json(&steps, batch).await {
        outcome.into_result()?;
    }
    println!("published: {} steps of {} orders", STEPS.len() * ORDERS.len(), ORDERS.len());

    let shutdown = CancellationToken::new();
    let left_over = Arc::new(AtomicUsize::new(STEPS.len() * ORDERS.len()));
    let consumer = |name: &'static str| -> Pipeline {
        let (clock, shutdown, left_over) = (Arc::clone(&seams.clock), shutdown.clone(), Arc::clone(&left_over));
        let pipeline = front.subscribe_json(Subscription::to(steps.clone()), move |step: Step, _| {
            let (clock, shutdown, left_over) = (Arc::clone(&clock), shutdown.clone(), Arc::clone(&left_over));
            async move {
                println!("{name}: {}: {}", step.order, step.what);
                // The work. The other consumer goes on meanwhile.
                clock.sleep(Duration::from_millis(2)).await;
                if left_over.fetch_sub(1, Ordering::Relaxed) == 1 {
                    shutdown.cancel();
                }
                Ok(())
            }
        });
        // Small hands: whoever takes all at once leaves nothing to share.
        pipeline.with_policy(Policy { concurrency_max: 2, prefetch_count_max: 2, ..Policy::default() })
    };
    let (first, second) = tokio::join!(
        consumer("first consumer").run(shutdown.clone()),
        consumer("second consumer").run(shutdown.clone())
    );
    first.and(second)
}
