//! Retry delays on a bus that keeps none, or shorter ones.
//!
//! * **What.** A nack whose delay is longer than the bus keeps is held in this process, on the lease
//!   of the delivery, which is extended as needed. When the delay is over it is given back.
//! * **Default.** Not there. [`Agreement::apply`](crate::contract::Agreement::apply) puts it on a bus
//!   whose [`Capability::nack_delay_max`] is shorter than needed. It offers as much as is needed and
//!   leases allow: half of a lease that cannot be extended, half of the cap of one that can; the other
//!   half is for the handler.
//! * **What `Settled` promises.** The nack is decided and the message is not delivered before its delay
//!   is over, as long as this receiver is open. What cannot be held that long (a fixed lease ends
//!   earlier, the cap is near) fails as `Unsupported` and comes again when its lease ends.
//! * **Cost.** Held messages count against the prefetch of their receiver, and so do messages of their
//!   key that come meanwhile where the bus keeps order per key: they wait behind it here, and a key with
//!   many of them can fill the prefetch. When the receiver is closed, held messages come again at once:
//!   earlier than was asked for, never lost. After a crash they come when their leases end, which are
//!   extended over the delay as far as the bus does that; at once where there are no leases.
//!   [`Bus::depth`] counts what other processes hold as in flight, so it is approximate at best.
//! * **Order.** Inside [`dead_letters`](mod@super::dead_letters), around [`delay`](mod@super::delay).
//! * **Cancellation.** It runs no task: whoever waits in `receive` or `lost` carries out what is due.
//!   While nobody does, what is due waits for the next call or the end of its lease. Dropped calls lose
//!   nothing.
//!
//! A receiver that asks for shorter leases than the bus's own, where they cannot be extended, can delay
//! less than [`Capability::nack_delay_max`] says.
//!
//! ```
//! use std::time::Duration;
//! use bus::{BusExt, Declaration, Destination, Message, Outgoing, ReceiverExt, Seams};
//! use bus::{SubscribeOptions, Subscription, emulation};
//! use bus_memory::{MemoryBus, MemoryOptions};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> bus::Result<()> {
//! let seams = Seams::system();
//! let bare = MemoryBus::new(seams.clone(), MemoryOptions { nack_delay_max: None, ..Default::default() });
//! let bus = emulation::nack_delay(bare, &seams, Duration::from_secs(3_600));
//!
//! let orders = Destination::new("orders")?;
//! bus.declare(&[Declaration::of(orders.clone())]).await?;
//! let message = Message::new(seams.message_id("example"), "{}");
//! assert!(bus.publish_one(Outgoing::new(orders.clone(), message)).await.is_accepted());
//!
//! let mut taken = Vec::new();
//! let receiver = bus.subscribe(&Subscription::to(orders), SubscribeOptions::default()).await?;
//! receiver.receive(1, &mut taken).await?;
//! let nacked_at = seams.clock.now();
//! for delivery in taken.drain(..) {
//!     assert!(receiver.settle_one(delivery.nack(Duration::from_secs(3_600))).await.is_settled());
//! }
//! receiver.receive(1, &mut taken).await?;
//! assert!(seams.clock.now().since(nacked_at) >= Duration::from_secs(3_600));
//! # Ok(())
//! # }
//! ```

mod hold;
mod receiver;

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;

use super::in_hand::InHand;
use crate::capability::{Counting, LeaseTerms, Order};
use crate::layer::{Layer, LayerExt, layered_receiver};
use crate::{Bus, Capability, Clock, Depth, Receiver, Result, Seams, SubscribeOptions, Subscription};
use hold::Hold;
use receiver::Nacks;

/// `bus` with nack delays of up to `max`, as far as its leases allow. See the [module](self).
pub fn nack_delay(bus: Arc<dyn Bus>, seams: &Seams, max: Duration) -> Arc<dyn Bus> {
    bus.layer(NackDelay { max, clock: Arc::clone(&seams.clock), holds: Mutex::default() })
}

/// What a bus can do with it.
pub(super) fn capability(next: &Capability, max: Duration) -> Capability {
    let native = next.nack_delay_max.unwrap_or_default();
    let offered = lease_allows(next.lease).map_or(max, |allowed| allowed.min(max)).max(native);
    let depth = next.depth.min(Counting::Approximate);
    Capability { nack_delay_max: Some(offered), depth, ..next.clone() }
}

/// The longest delay that leases leave beside the handler; `None`: any.
fn lease_allows(terms: LeaseTerms) -> Option<Duration> {
    let fixed = terms.duration.filter(|_| !terms.extendable);
    [fixed, terms.total_max].into_iter().flatten().min().map(|whole| whole / 2)
}

#[derive(Debug)]
struct NackDelay {
    max: Duration,
    clock: Arc<dyn Clock>,
    /// Of the open receivers, to count what they hold.
    holds: Mutex<Vec<(Subscription, Weak<Hold>)>>,
}

#[async_trait]
impl Layer for NackDelay {
    fn capability(&self, next: &Capability) -> Capability {
        capability(next, self.max)
    }

    async fn subscribe(
        &self,
        subscription: &Subscription,
        options: SubscribeOptions,
        next: &dyn Bus,
    ) -> Result<Arc<dyn Receiver>> {
        let receiver = next.subscribe(subscription, options).await?;
        let bus = next.capability();
        let hold = Arc::new(Hold::new(bus.order == Order::PerKey));
        {
            let mut holds = self.holds.lock().unwrap_or_else(PoisonError::into_inner);
            holds.retain(|(_, hold)| hold.strong_count() > 0);
            holds.push((subscription.clone(), Arc::downgrade(&hold)));
        }
        let layer = Nacks {
            native_max: bus.nack_delay_max.unwrap_or_default(),
            offered_max: self.capability(bus).nack_delay_max.unwrap_or_default(),
            is_confirmed: bus.settle_confirmed,
            terms: bus.lease,
            in_hand: InHand::new(Arc::clone(&self.clock), options.lease.or(bus.lease.duration)),
            clock: Arc::clone(&self.clock),
            hold,
        };
        Ok(layered_receiver(receiver, layer))
    }

    async fn depth(&self, subscription: &Subscription, next: &dyn Bus) -> Result<Depth> {
        let mut depth = next.depth(subscription).await?;
        let holds = self.holds.lock().unwrap_or_else(PoisonError::into_inner);
        let open = holds.iter().filter(|(of, _)| of == subscription).filter_map(|(_, hold)| hold.upgrade());
        for (delayed_count, waiting_count) in open.map(|hold| hold.counts()) {
            depth.delayed_count += delayed_count;
            depth.ready_count += waiting_count;
            depth.in_flight_count = depth.in_flight_count.saturating_sub(delayed_count + waiting_count);
        }
        Ok(depth)
    }
}
