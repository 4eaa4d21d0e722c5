//! Publish a value, consume it, stop.
//!
//! Shows the typed front: no bytes, no settlement; `Ok` acknowledges.
//!
//! ```text
//! cargo run -p bus --example hello
//! ```

use bus::typed::Front;
use bus::{Declaration, Destination, MessageKey, Result, Seams, Subscription};
use bus_memory::{MemoryBus, MemoryOptions};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

#[derive(Serialize, Deserialize)]
struct Order {
    product: String,
    quantity: u32,
}

#[tokio::main(flavor = "current_thread")]
pub(crate) async fn main() -> Result<()> {
    let seams = Seams::system();
    let front = Front::new(MemoryBus::new(seams.clone(), MemoryOptions::default()), seams);
    let orders = Destination::new("orders")?;
    front.bus().declare(&[Declaration::of(orders.clone())]).await?;

    let order = Order { product: "tea".to_owned(), quantity: 2 };
    front.publish_json(&orders, MessageKey::new("ORD-1")?, &order).await?;
    println!("published: {} × {}", order.quantity, order.product);

    let shutdown = CancellationToken::new();
    let done = shutdown.clone();
    let pipeline = front.subscribe_json(Subscription::to(orders), move |order: Order, envelope| {
        println!("handled: {} × {}, attempt {}", order.quantity, order.product, envelope.attempt());
        done.cancel();
        async { Ok(()) }
    });
    pipeline.run(shutdown).await
}
