//! At most so many messages a second.

use std::time::Duration;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use super::Layer;
use super::partial::publish_all;
use crate::rate::Limiter;
use crate::{Bus, Capability, Outgoing, PublishOutcome, Rate, Result, Seams};

/// Lets messages through to the bus at a [`Rate`]; publishers wait, first come, first served.
///
/// Against a broker's quota: what waits here is not refused there. A batch larger than the burst
/// goes in parts of a burst each, one after the other; the outcomes are those of one batch. So an
/// [atomic](Capability::publish_atomic) bus is no longer one behind this layer.
///
/// * **Default.** None: a quota is the broker's to say.
/// * **Order.** Inside [`Retry`](super::Retry), so that resends count; inside
///   [`CircuitBreaker`](super::CircuitBreaker), so that what is refused at once does not wait;
///   outside [`Timeout`](super::Timeout), so that the wait is not taken for a slow broker.
/// * **Cancellation.** A dropped call has published whole parts or nothing, and waits no more.
///   [`Bus::close`] ends every wait; the bus then answers for itself.
/// * **Cost.** One lock and one atomic operation for each part. Messages that wait are in memory:
///   what bounds them is how many publish at the same time.
///
/// ```
/// use std::sync::Arc;
/// use bus::layer::{LayerExt, Throttle};
/// use bus::{Bus, BusExt, ClockExt, Declaration, Destination, Message, Outgoing, Rate, Seams};
/// use bus_memory::{MemoryBus, MemoryOptions};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> bus::Result<()> {
/// let seams = Seams::system();
/// let bus: Arc<dyn Bus> = MemoryBus::new(seams.clone(), MemoryOptions::default());
/// let bus = bus.layer(Throttle::new(Rate { count_per_second: 10, burst_count_max: 2 }, &seams));
///
/// let orders = Destination::new("orders")?;
/// bus.declare(&[Declaration::of(orders.clone())]).await?;
/// let begun = seams.clock.now();
/// for _ in 0..4 {
///     let message = Message::new(seams.message_id("example"), "an order");
///     assert!(bus.publish_one(Outgoing::new(orders.clone(), message)).await.is_accepted());
/// }
/// assert_eq!(seams.clock.now().since(begun).as_millis() / 100, 2, "two at once, then ten a second");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Throttle {
    limiter: Limiter,
    closing: CancellationToken,
}

impl Throttle {
    /// A throttle of its own: buses that share a quota share one bus.
    #[must_use]
    pub fn new(rate: Rate, seams: &Seams) -> Self {
        Self { limiter: Limiter::new(rate, seams.clock.clone()), closing: CancellationToken::new() }
    }

    async fn wait(&self, count: usize) {
        tokio::select! {
            biased;
            () = self.closing.cancelled() => {}
            () = self.limiter.admit(count) => {}
        }
    }
}

#[async_trait]
impl Layer for Throttle {
    fn capability(&self, next: &Capability) -> Capability {
        Capability { publish_atomic: false, ..next.clone() }
    }

    async fn publish(&self, batch: Vec<Outgoing>, next: &dyn Bus) -> Vec<PublishOutcome> {
        let part_count_max = self.limiter.burst_count_max();
        if batch.len() <= part_count_max {
            self.wait(batch.len()).await;
            return next.publish(batch).await;
        }
        let mut outcomes = Vec::with_capacity(batch.len());
        let mut rest = batch.into_iter();
        while rest.len() > 0 {
            let part: Vec<Outgoing> = rest.by_ref().take(part_count_max).collect();
            self.wait(part.len()).await;
            outcomes.append(&mut publish_all(part, next).await);
        }
        outcomes
    }

    async fn close(&self, deadline: Duration, next: &dyn Bus) -> Result<()> {
        self.closing.cancel();
        next.close(deadline).await
    }
}
