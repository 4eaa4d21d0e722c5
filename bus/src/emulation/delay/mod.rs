//! Publish delays beyond the longest a bus keeps.
//!
//! * **What.** A message with a longer delay is published with the longest the bus has and the header
//!   [`DUE_AT`]. Received before it is due, it is published again with what is left and then
//!   acknowledged; the consumer never sees it. When it is due the consumer gets it with its own headers.
//! * **Default.** Not there. [`Agreement::apply`](crate::contract::Agreement::apply) puts it on a bus
//!   whose [`Capability::delay_max`] is shorter than needed. Without any delay there is nothing to hop
//!   on: keep the message in the outbox until it is due.
//! * **Cost.** One receive, one publish and one ack per hop, so one for each [`Capability::delay_max`]
//!   of delay, and for each group. The moment a message is due is calendar time, counted from the call
//!   of `publish`: the clocks of the processes must agree, and a publish that waits for room waits
//!   within the delay. Hops need consumers: while none runs, what is due is late. A hop that is cut
//!   between copy and ack makes a duplicate under its own id. Messages may be [`HEADER_BYTES`]
//!   smaller. [`Bus::depth`] counts a hopping message twice for a moment, so it is approximate at best.
//! * **Order.** Next to the bus, inside [`nack_delay`](mod@super::nack_delay). Every consumer of the
//!   destination needs it: one without gets the message early, with the headers on.
//! * **Cancellation.** Hops run in a task that the receiver owns: a dropped `receive` loses nothing,
//!   and closing or dropping the receiver gives back what is not yet on its next hop.
//!
//! The headers [`DUE_AT`], [`HOP_COUNT`] and [`HOP_GROUP`] are this layer's.
//!
//! ```
//! use std::time::Duration;
//! use bus::{BusExt, Declaration, Destination, Message, Outgoing, Seams};
//! use bus::{SubscribeOptions, Subscription, emulation};
//! use bus_memory::{MemoryBus, MemoryOptions};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> bus::Result<()> {
//! let seams = Seams::repeatable("2026-01-01T00:00:00Z".parse().expect("a timestamp"), 1);
//! let quarter_hour = Some(Duration::from_secs(15 * 60));
//! let bare = MemoryBus::new(seams.clone(), MemoryOptions { delay_max: quarter_hour, ..Default::default() });
//! let day = Duration::from_secs(24 * 60 * 60);
//! let bus = emulation::delay(bare, &seams, day);
//!
//! let reminders = Destination::new("reminders")?;
//! bus.declare(&[Declaration::of(reminders.clone())]).await?;
//! let message = Message::new(seams.message_id("example"), "{}");
//! let published_at = seams.clock.now();
//! assert!(bus.publish_one(Outgoing::new(reminders.clone(), message).delayed(day)).await.is_accepted());
//!
//! let mut taken = Vec::new();
//! let receiver = bus.subscribe(&Subscription::to(reminders), SubscribeOptions::default()).await?;
//! receiver.receive(1, &mut taken).await?;
//! assert!(seams.clock.now().since(published_at) >= day);
//! assert_eq!(taken[0].message().headers().count(), 0, "nothing shows how it came");
//! # Ok(())
//! # }
//! ```

mod hop;
mod receiver;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::screen::{check_size, publish_checked};
use crate::capability::Counting;
use crate::layer::{Layer, LayerExt, layered_receiver};
use crate::{
    Bus, Capability, Clock, Error, ErrorKind, Outgoing, PublishOutcome, Receiver, Result, Seams, SubscribeOptions,
    Subscription,
};
use receiver::Hops;

/// When a message is due: milliseconds of calendar time since 1970, in decimal.
pub const DUE_AT: &str = "x-due-at";

/// How often it was published again, in decimal; absent at first. A FIFO backend tells a hop from a
/// resent message by it.
pub const HOP_COUNT: &str = "x-hop-count";

/// Whose hop it is: the group, empty for the default one; absent at first, when each group has its own.
/// Other groups let it pass.
pub const HOP_GROUP: &str = "x-hop-group";

/// Bytes of a message kept free for the headers at their longest: names of 8, 11 and 11 bytes, numbers
/// of 20 and 10 digits, a group of 80 bytes.
pub const HEADER_BYTES: usize = 140;

/// `bus` with publish delays of up to `max`, where it has delays at all. See the [module](self).
pub fn delay(bus: Arc<dyn Bus>, seams: &Seams, max: Duration) -> Arc<dyn Bus> {
    let layer = Delay { bus: Arc::clone(&bus), max, clock: Arc::clone(&seams.clock) };
    bus.layer(layer)
}

/// What a bus can do with it.
pub(super) fn capability(next: &Capability, max: Duration) -> Capability {
    Capability {
        delay_max: next.delay_max.map(|native| native.max(max)),
        message_bytes_max: next.message_bytes_max.map(|max| max.saturating_sub(HEADER_BYTES)),
        depth: next.depth.min(Counting::Approximate),
        ..next.clone()
    }
}

#[derive(Debug)]
struct Delay {
    /// The bus behind this layer, for receivers that outlive the call that made them.
    bus: Arc<dyn Bus>,
    max: Duration,
    clock: Arc<dyn Clock>,
}

#[async_trait]
impl Layer for Delay {
    fn capability(&self, next: &Capability) -> Capability {
        capability(next, self.max)
    }

    async fn publish(&self, batch: Vec<Outgoing>, next: &dyn Bus) -> Vec<PublishOutcome> {
        let native = next.capability();
        let offered = capability(native, self.max);
        let wall = self.clock.wall();
        let check = |outgoing: Outgoing| {
            let message = outgoing.message();
            check_size(message, hop::bytes_without_headers(message), offered.message_bytes_max)?;
            let Some((native_max, offered_max)) = native.delay_max.zip(offered.delay_max) else { return Ok(outgoing) };
            if outgoing.delay() > offered_max {
                return Err(too_long(&outgoing, offered_max));
            }
            Ok(if outgoing.delay() > native_max { hop::first(outgoing, wall, native_max) } else { outgoing })
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
        let Some(native_max) = next.capability().delay_max else { return Ok(receiver) };
        let layer = Hops::over(&receiver, subscription, Arc::clone(&self.bus), Arc::clone(&self.clock), native_max);
        Ok(layered_receiver(receiver, layer))
    }
}

fn too_long(outgoing: &Outgoing, max: Duration) -> Error {
    let text = format!("a delay of {:?} is longer than this bus keeps, which is {max:?}", outgoing.delay());
    Error::new(ErrorKind::Unsupported, "publish", text).with("message_id", outgoing.message().id())
}
