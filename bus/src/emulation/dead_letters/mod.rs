//! Dead letters on a bus that keeps none.
//!
//! * **What.** Declaring `orders` also declares `orders-dlq`. A reject publishes a copy there, with
//!   the headers of [`dead_letter`], and only when the copy is accepted consumes the original: copy,
//!   confirmed, then remove. If the dead letters do not take it, the reject fails with the cause and
//!   the message comes again when its lease ends.
//! * **Default.** Not there. [`Agreement::apply`](crate::contract::Agreement::apply) puts it on a bus
//!   without [`Capability::dead_letters`].
//! * **Cost.** One more publish for a reject. Between copy and removal lies a gap: after a crash or a
//!   lost answer a message may be in the dead letters twice, or there and again in the queue, under
//!   its own id. Every message in hand is remembered (a pointer and some words). Messages may be
//!   [`PROVENANCE_BYTES`] smaller, so that each that is accepted also fits into the dead letters; a
//!   foreign one that does not is not moved and its reject fails. A reason that does not fit is cut.
//! * **Order.** Around the emulation of nack delays, inside everything that counts or traces.
//! * **Cancellation.** A dropped `settle` gives undecided rejects back; copies may have been made.
//!
//! A dead letter has dead letters of its own only if its destination was declared itself: rejecting
//! it fails as `Unsupported` otherwise. Where deliveries have no lease that could end, what was not
//! taken is given back after [`RETRY_AFTER`], or as late as the bus can delay it.
//!
//! ```
//! use bus::{BusExt, Declaration, Destination, Message, Outgoing, ReceiverExt, Seams};
//! use bus::{SubscribeOptions, Subscription, dead_letter, emulation};
//! use bus_memory::{MemoryBus, MemoryOptions};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> bus::Result<()> {
//! let seams = Seams::system();
//! let bare = MemoryBus::new(seams.clone(), MemoryOptions { dead_letters: false, ..Default::default() });
//! let bus = emulation::dead_letters(bare, &seams);
//! assert!(bus.capability().dead_letters);
//!
//! let orders = Destination::new("orders")?;
//! bus.declare(&[Declaration::of(orders.clone())]).await?;
//! let message = Message::new(seams.message_id("example"), "{");
//! assert!(bus.publish_one(Outgoing::new(orders.clone(), message)).await.is_accepted());
//!
//! let mut taken = Vec::new();
//! let receiver = bus.subscribe(&Subscription::to(orders.clone()), SubscribeOptions::default()).await?;
//! receiver.receive(1, &mut taken).await?;
//! for delivery in taken.drain(..) {
//!     assert!(receiver.settle_one(delivery.reject("half an object")).await.is_settled());
//! }
//! let dead = bus.subscribe(&Subscription::to(orders.dead_letters()?), SubscribeOptions::default()).await?;
//! dead.receive(1, &mut taken).await?;
//! assert_eq!(taken[0].message().headers().text(dead_letter::REASON), Some("half an object"));
//! # Ok(())
//! # }
//! ```

mod burial;
mod receiver;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::in_hand::InHand;
use super::screen::{check_size, publish_checked};
use crate::layer::{Layer, LayerExt, layered_receiver};
use crate::{
    Bus, Capability, Clock, Declaration, Message, Outgoing, PublishOutcome, Receiver, Result, Seams, SubscribeOptions,
    Subscription, dead_letter,
};
use receiver::Rejects;

/// Bytes of a message kept free for its provenance: names and values of all headers of a rejection
/// at their longest are 307, and what is left is enough for the beginning of a reason.
pub const PROVENANCE_BYTES: usize = 512;

/// Delay before a message comes again whose reject failed, where no lease brings it back.
pub const RETRY_AFTER: Duration = Duration::from_secs(5);

/// `bus` with dead letters. See the [module](self).
pub fn dead_letters(bus: Arc<dyn Bus>, seams: &Seams) -> Arc<dyn Bus> {
    let layer = DeadLetters { bus: Arc::clone(&bus), clock: Arc::clone(&seams.clock) };
    bus.layer(layer)
}

/// What a bus can do with it.
pub(super) fn capability(next: &Capability) -> Capability {
    let message_bytes_max = next.message_bytes_max.map(|max| max.saturating_sub(PROVENANCE_BYTES));
    Capability { dead_letters: true, message_bytes_max, ..next.clone() }
}

#[derive(Debug)]
struct DeadLetters {
    /// The bus behind this layer, for receivers that outlive the call that made them.
    bus: Arc<dyn Bus>,
    clock: Arc<dyn Clock>,
}

#[async_trait]
impl Layer for DeadLetters {
    fn capability(&self, next: &Capability) -> Capability {
        capability(next)
    }

    async fn declare(&self, declarations: &[Declaration], next: &dyn Bus) -> Result<()> {
        let mut all = declarations.to_vec();
        for declaration in declarations {
            let dead_letters = declaration.destination.dead_letters()?;
            if !all.iter().any(|known| known.destination == dead_letters) {
                all.push(Declaration::of(dead_letters));
            }
        }
        next.declare(&all).await
    }

    async fn publish(&self, batch: Vec<Outgoing>, next: &dyn Bus) -> Vec<PublishOutcome> {
        let bytes_max = capability(next.capability()).message_bytes_max;
        let check = |outgoing: Outgoing| {
            let message = outgoing.message();
            check_size(message, bytes_without_provenance(message), bytes_max).map(|()| outgoing)
        };
        publish_checked(batch, next, check).await
    }

    async fn subscribe(
        &self,
        subscription: &Subscription,
        options: SubscribeOptions,
        next: &dyn Bus,
    ) -> Result<Arc<dyn Receiver>> {
        let receiver = next.subscribe(subscription, options).await?;
        let lease = options.lease.or(next.capability().lease.duration);
        let layer = Rejects {
            bus: Arc::clone(&self.bus),
            clock: Arc::clone(&self.clock),
            subscription: subscription.clone(),
            // A name that no longer fits was never declared.
            graves: subscription.destination().dead_letters().ok(),
            in_hand: InHand::new(Arc::clone(&self.clock), lease),
        };
        Ok(layered_receiver(receiver, layer))
    }
}

/// A replayed dead letter brings its provenance along: room for it was kept before.
fn bytes_without_provenance(message: &Message) -> usize {
    const NAMES: [&str; 5] = [
        dead_letter::REASON,
        dead_letter::DESTINATION,
        dead_letter::GROUP,
        dead_letter::RECEIVE_COUNT,
        dead_letter::AT,
    ];
    let provenance = message.headers().iter().filter(|(name, _)| NAMES.contains(name));
    message.size_bytes() - provenance.map(|(name, value)| name.len() + value.len()).sum::<usize>()
}
