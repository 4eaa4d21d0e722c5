//! A limit on how long a call may take.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::{Layer, ReceiverLayer, layered_receiver};
use crate::{
    Bus, Clock, ClockExt, Declaration, Depth, Error, ErrorKind, ExtendOutcome, Outgoing, PublishOutcome, Receiver,
    Result, Seams, SettleOutcome, Settlement, SubscribeOptions, Subscription, Token, Unsettled,
};

/// How long calls may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// One publish, back-pressure included.
    pub publish: Duration,
    /// One batch of settlements, extensions or releases.
    pub settle: Duration,
    /// Declaring, subscribing, counting and purging.
    pub manage: Duration,
}

impl Default for Limits {
    /// 30 s to publish and to manage, which Kafka's clients give a request (`request.timeout.ms`); 10 s
    /// to settle, a third of the lease that SQS starts with.
    fn default() -> Self {
        Self { publish: Duration::from_secs(30), settle: Duration::from_secs(10), manage: Duration::from_secs(30) }
    }
}

/// Ends calls that take too long and answers for them.
///
/// | call | answer when its time is over |
/// |---|---|
/// | `publish` | `Unknown` ([`Timeout`](ErrorKind::Timeout)) for each message |
/// | `settle`, `extend` | `Failed` ([`Timeout`](ErrorKind::Timeout)) for each entry |
/// | `declare`, `subscribe`, `depth`, `purge` | an error of kind [`Timeout`](ErrorKind::Timeout) |
/// | `release` | none; what was not handed over is dropped, and so given back |
///
/// `receive` and `lost` wait by nature and [`Bus::close`] has its own deadline: they are not limited.
///
/// * **Default.** [`Limits::default`].
/// * **Order.** Next to the bus: it limits one call, not the waits of [`Retry`](super::Retry) and
///   [`Throttle`](super::Throttle). Inside [`CircuitBreaker`](super::CircuitBreaker), for which a
///   time that ran out is a failure.
/// * **Cancellation.** A dropped call drops the call behind it, as does one whose time is over: a
///   message is then accepted or not, and a delivery is settled, or comes again. See
///   [`Receiver::settle`].
/// * **Cost.** One timer for each call.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
/// use bus::layer::{LayerExt, Limits, Timeout};
/// use bus::{Bus, BusExt, Declaration, Destination, ErrorKind, Message, Outgoing, PublishOutcome, Seams};
/// use bus_memory::{MemoryBus, MemoryOptions};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> bus::Result<()> {
/// let seams = Seams::system();
/// // One message fills it, and then publishers wait.
/// let options = MemoryOptions { capacity_count: 1, ..MemoryOptions::default() };
/// let bus: Arc<dyn Bus> = MemoryBus::new(seams.clone(), options);
/// let limits = Limits { publish: Duration::from_secs(5), ..Limits::default() };
/// let bus = bus.layer(Timeout::new(limits, &seams));
///
/// let orders = Destination::new("orders")?;
/// bus.declare(&[Declaration::of(orders.clone())]).await?;
/// let order = || Outgoing::new(orders.clone(), Message::new(seams.message_id("example"), "an order"));
/// assert!(bus.publish_one(order()).await.is_accepted());
/// let outcome = bus.publish_one(order()).await;
/// assert!(matches!(outcome, PublishOutcome::Unknown(error) if error.kind() == ErrorKind::Timeout));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Timeout {
    limits: Limits,
    clock: Arc<dyn Clock>,
}

impl Timeout {
    /// Limits every call as `limits` says.
    #[must_use]
    pub fn new(limits: Limits, seams: &Seams) -> Self {
        Self { limits, clock: seams.clock.clone() }
    }

    async fn manage<T: Send>(
        &self,
        operation: &'static str,
        call: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        let limit = self.limits.manage;
        self.clock.timeout(limit, call).await.unwrap_or_else(|| Err(over(operation, limit)))
    }
}

#[async_trait]
impl Layer for Timeout {
    async fn declare(&self, declarations: &[Declaration], next: &dyn Bus) -> Result<()> {
        self.manage("declare", next.declare(declarations)).await
    }

    async fn publish(&self, batch: Vec<Outgoing>, next: &dyn Bus) -> Vec<PublishOutcome> {
        let (limit, count) = (self.limits.publish, batch.len());
        let in_time = self.clock.timeout(limit, next.publish(batch)).await;
        in_time.unwrap_or_else(|| (0..count).map(|_| PublishOutcome::Unknown(over("publish", limit))).collect())
    }

    async fn subscribe(
        &self,
        subscription: &Subscription,
        options: SubscribeOptions,
        next: &dyn Bus,
    ) -> Result<Arc<dyn Receiver>> {
        let receiver = self.manage("subscribe", next.subscribe(subscription, options)).await?;
        Ok(layered_receiver(receiver, Limited { limit: self.limits.settle, clock: Arc::clone(&self.clock) }))
    }

    async fn depth(&self, subscription: &Subscription, next: &dyn Bus) -> Result<Depth> {
        self.manage("depth", next.depth(subscription)).await
    }

    async fn purge(&self, subscription: &Subscription, next: &dyn Bus) -> Result<()> {
        self.manage("purge", next.purge(subscription)).await
    }
}

struct Limited {
    limit: Duration,
    clock: Arc<dyn Clock>,
}

#[async_trait]
impl ReceiverLayer for Limited {
    async fn settle(&self, batch: Vec<Settlement>, next: &dyn Receiver) -> Vec<SettleOutcome> {
        let count = batch.len();
        let in_time = self.clock.timeout(self.limit, next.settle(batch)).await;
        in_time.unwrap_or_else(|| (0..count).map(|_| SettleOutcome::Failed(over("settle", self.limit))).collect())
    }

    async fn extend(&self, tokens: &[Token], by: Duration, next: &dyn Receiver) -> Vec<ExtendOutcome> {
        let in_time = self.clock.timeout(self.limit, next.extend(tokens, by)).await;
        in_time.unwrap_or_else(|| tokens.iter().map(|_| ExtendOutcome::Failed(over("extend", self.limit))).collect())
    }

    async fn release(&self, unstarted: Vec<Unsettled>, next: &dyn Receiver) {
        if self.clock.timeout(self.limit, next.release(unstarted)).await.is_none() {
            tracing::warn!(limit = ?self.limit, "deliveries were not released in time: they come again late, or counted as received");
        }
    }
}

fn over(operation: &'static str, limit: Duration) -> Error {
    Error::new(ErrorKind::Timeout, operation, format!("no answer within {limit:?}; whether it took effect is open"))
}
