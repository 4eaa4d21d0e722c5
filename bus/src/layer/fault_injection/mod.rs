//! A bus that fails on purpose, the same way for the same seed.

mod dice;
mod faults;
mod publish;
mod receiver;

use std::sync::Arc;

use async_trait::async_trait;

use self::dice::Dice;
use self::receiver::Faulty;
use super::{Layer, layered_receiver};
use crate::{Bus, Error, ErrorKind, Outgoing, PublishOutcome, Receiver, Result, Seams, SubscribeOptions, Subscription};

pub use crate::chance::FaultReport;
pub use faults::{FaultCounts, Faults};

/// Makes a bus fail as brokers and networks do, by chance and repeatably.
///
/// What a consumer must survive on any broker: calls that fail, answers that are lost, duplicates,
/// leases that end early, and slowness. Nothing it does breaks the contract; a service that loses or
/// doubles an effect behind it would do so in production.
///
/// * **Repeatable.** Each draw is made through [`Entropy`](crate::Entropy) for a purpose and a message
///   id (or the subscription, where a call has no message). With seeded entropy the same seed gives the
///   same run, and a kind of fault that is switched on shifts no other.
/// * **Default.** [`Faults::default`] is all zero: the layer then draws nothing and changes nothing.
/// * **Report.** [`report`](Self::report) tells how often each kind has fired: a test of faults that
///   did not fire shows nothing.
/// * **Order.** Next to the bus, so that every other layer meets the faults.
/// * **Atomic batches** fail as a whole: one draw for each call, by its first message. Without them
///   each message has its own.
/// * **Cancellation.** As the bus behind it; a call that is being slow has done nothing yet.
/// * **Cost.** Nothing while all is zero. Else one draw for each kind and message, and the ids of
///   deliveries in hand.
///
/// ```
/// use std::sync::Arc;
/// use bus::layer::{FaultInjection, Faults, LayerExt};
/// use bus::{Bus, BusExt, Declaration, Destination, Message, Outgoing, PublishOutcome, Seams};
/// use bus_memory::{MemoryBus, MemoryOptions};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> bus::Result<()> {
/// let seams = Seams::repeatable("2026-01-01T00:00:00Z".parse().expect("a timestamp"), 42);
/// let bus: Arc<dyn Bus> = MemoryBus::new(seams.clone(), MemoryOptions::default());
/// // Half of the answers to a publish get lost.
/// let faults = FaultInjection::new(Faults { publish_answer_lost_per_mille: 500, ..Faults::default() }, &seams);
/// let report = faults.report();
/// let bus = bus.layer(faults);
///
/// let orders = Destination::new("orders")?;
/// bus.declare(&[Declaration::of(orders.clone())]).await?;
/// let mut unknown_count = 0;
/// for _ in 0..100 {
///     let message = Message::new(seams.message_id("example"), "an order");
///     let outcome = bus.publish_one(Outgoing::new(orders.clone(), message)).await;
///     unknown_count += u64::from(matches!(outcome, PublishOutcome::Unknown(_)));
/// }
/// assert_eq!(report.counts().publish_answer_lost_count, unknown_count);
/// assert!((30..70).contains(&unknown_count), "{unknown_count}");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct FaultInjection {
    dice: Arc<Dice>,
}

impl FaultInjection {
    /// Fails as often as `faults` says.
    #[must_use]
    pub fn new(faults: Faults, seams: &Seams) -> Self {
        Self { dice: Arc::new(Dice::new(faults, seams)) }
    }

    /// A view of what has fired, to be kept when the layer is put on its bus.
    #[must_use]
    pub fn report(&self) -> FaultReport<FaultCounts> {
        self.dice.report.clone()
    }
}

#[async_trait]
impl Layer for FaultInjection {
    async fn publish(&self, batch: Vec<Outgoing>, next: &dyn Bus) -> Vec<PublishOutcome> {
        if self.dice.faults == Faults::default() {
            return next.publish(batch).await;
        }
        publish::publish(&self.dice, batch, next).await
    }

    async fn subscribe(
        &self,
        subscription: &Subscription,
        options: SubscribeOptions,
        next: &dyn Bus,
    ) -> Result<Arc<dyn Receiver>> {
        let receiver = next.subscribe(subscription, options).await?;
        if self.dice.faults == Faults::default() {
            return Ok(receiver);
        }
        let terms = next.capability().lease;
        Ok(layered_receiver(receiver, Faulty::new(Arc::clone(&self.dice), subscription, terms)))
    }
}

fn injected(kind: ErrorKind, operation: &'static str, what: &str) -> Error {
    Error::new(kind, operation, format!("injected fault: {what}"))
}
