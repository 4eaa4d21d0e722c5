//! Large bodies beside the bus, small messages on it.

mod receiver;
mod store;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;

use self::receiver::Claiming;
use super::partial::{Decided, publish_undecided};
use super::{Layer, layered_receiver};
use crate::{
    Bus, Capability, Error, ErrorKind, Outgoing, PublishOutcome, Receiver, Result, SubscribeOptions, Subscription,
};

pub use store::{ClaimStore, MemoryClaims};

/// The header with the key of a body that is in the store: the message's id.
pub const CLAIM: &str = "x-claim-check";

/// The header with that body's length in bytes, in decimal.
pub const CLAIM_BYTES: &str = "x-claim-check-bytes";

/// Calls to the store at the same time, for one batch.
const STORE_CALL_COUNT_MAX: usize = 16;

/// Keeps large bodies in a [`ClaimStore`] and puts a claim in their place on the bus (Enterprise
/// Integration Patterns: *Claim Check*).
///
/// Publishing, a body above the threshold is put in the store under the message's id, then the
/// message goes out without a body and with the headers [`CLAIM`] and [`CLAIM_BYTES`]. Receiving,
/// the body is fetched before the delivery is handed out, for a batch concurrently and in order, and
/// the headers are taken off: consumers see the message as it was published. A claim that is
/// published, such as a dead letter that was read behind this layer, passes as it is.
///
/// * A store that does not take the body: the message is refused with the store's error. A crash
///   between the two leaves a body without a message.
/// * **A claim without its body**, or with a body of another length, goes to the dead letters with
///   this reason. The length is all that is checked: ids are unique, and a store that garbles what
///   it keeps is better mended than noticed here. Without [`Capability::dead_letters`] the message
///   stays and comes again after each lease.
/// * **A store that does not answer** makes `receive` fail as
///   [`Unavailable`](ErrorKind::Unavailable); the deliveries are released, and a pipeline pauses
///   and probes.
/// * **Who removes a body:** the store, by age. No consumer can, as it cannot know of other groups,
///   of replays, or whether its own ack arrived. The age must exceed the longest time a message may
///   stay on the bus, its dead letters included: those carry the claim, and a replay needs the body.
/// * **Default.** None: the store is the application's. Give it one, or a prefix in one, that holds
///   nothing else: a claim names the key to fetch, and whoever can publish can write a claim.
/// * **Order.** Inside [`Retry`](super::Retry), which then covers the store as well; outside
///   [`CircuitBreaker`](super::CircuitBreaker), [`Throttle`](super::Throttle) and
///   [`Timeout`](super::Timeout), which are about the broker.
/// * **Capability.** [`message_bytes_max`](Capability::message_bytes_max) becomes the store's. Headers
///   and key stay on the bus and must still fit its limit.
/// * **Cancellation.** A dropped publish leaves bodies without messages at worst. A dropped receive
///   keeps what it has fetched for the next one.
/// * **Cost.** One call to the store for each large body on each side, 16 at a time; nothing for
///   small ones. A delivery's lease runs while its body is fetched.
///
/// ```
/// use std::sync::Arc;
/// use bus::layer::{ClaimCheck, LayerExt, MemoryClaims};
/// use bus::{Bus, BusExt, Declaration, Destination, Message, Outgoing, Seams, SubscribeOptions, Subscription};
/// use bus_memory::{MemoryBus, MemoryOptions};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> bus::Result<()> {
/// let seams = Seams::system();
/// let options = MemoryOptions { message_bytes_max: Some(1_000), ..MemoryOptions::default() };
/// let small: Arc<dyn Bus> = MemoryBus::new(seams.clone(), options);
/// let bus = small.layer(ClaimCheck::new(500, Arc::new(MemoryClaims::new())));
///
/// let scans = Destination::new("scans")?;
/// bus.declare(&[Declaration::of(scans.clone())]).await?;
/// let scan = Message::new(seams.message_id("example"), vec![7; 1_000_000]);
/// assert!(bus.publish_one(Outgoing::new(scans.clone(), scan.clone())).await.is_accepted());
///
/// let receiver = bus.subscribe(&Subscription::to(scans), SubscribeOptions::default()).await?;
/// let mut deliveries = Vec::new();
/// receiver.receive(1, &mut deliveries).await?;
/// assert_eq!(deliveries[0].message(), &scan);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct ClaimCheck {
    threshold_bytes: usize,
    store: Arc<dyn ClaimStore>,
}

impl ClaimCheck {
    /// Keeps bodies of more than `threshold_bytes` in `store`, and smaller ones that the bus would
    /// refuse for the size of their message.
    #[must_use]
    pub fn new(threshold_bytes: usize, store: Arc<dyn ClaimStore>) -> Self {
        Self { threshold_bytes, store }
    }

    fn is_large(&self, outgoing: &Outgoing, bus_bytes_max: Option<usize>) -> bool {
        let message = outgoing.message();
        let fits = bus_bytes_max.is_none_or(|max| message.size_bytes() <= max);
        let is_large = message.body().len() > self.threshold_bytes || !fits;
        is_large && !message.body().is_empty()
    }

    /// Puts the body of a large message in the store and a claim in its place.
    async fn check_in(&self, mut outgoing: Outgoing, bus_bytes_max: Option<usize>) -> Decided {
        if let Some(bytes_max) = self.store.body_bytes_max().filter(|max| outgoing.message().size_bytes() > *max) {
            let text = format!("the message is larger than the {bytes_max} bytes of the claim store");
            let error = Error::new(ErrorKind::TooLarge, "publish", text).with("message_id", outgoing.message().id());
            return (outgoing, Some(PublishOutcome::Refused(error)));
        }
        if !self.is_large(&outgoing, bus_bytes_max) {
            return (outgoing, None);
        }
        let (key, body) = (outgoing.message().id().to_string(), outgoing.message().body().clone());
        let body_bytes = body.len();
        if let Err(cause) = self.store.put(&key, body).await {
            let error = Error::new(cause.kind(), "publish", "the claim store did not take the body")
                .with("message_id", &key)
                .retryable(cause.is_retryable())
                .caused_by(cause);
            return (outgoing, Some(PublishOutcome::Refused(error)));
        }
        let message = outgoing.message_mut();
        message.set_body(Bytes::new());
        message.headers_mut().set(CLAIM, key);
        message.headers_mut().set(CLAIM_BYTES, body_bytes.to_string());
        (outgoing, None)
    }
}

#[async_trait]
impl Layer for ClaimCheck {
    fn capability(&self, next: &Capability) -> Capability {
        Capability { message_bytes_max: self.store.body_bytes_max(), ..next.clone() }
    }

    async fn publish(&self, batch: Vec<Outgoing>, next: &dyn Bus) -> Vec<PublishOutcome> {
        let bus_bytes_max = next.capability().message_bytes_max;
        let checks = batch.into_iter().map(|outgoing| Box::pin(self.check_in(outgoing, bus_bytes_max)) as _);
        let checks: Vec<BoxFuture<'_, Decided>> = checks.collect();
        let checked: Vec<Decided> = futures_util::stream::iter(checks).buffered(STORE_CALL_COUNT_MAX).collect().await;
        publish_undecided(checked, next).await
    }

    async fn subscribe(
        &self,
        subscription: &Subscription,
        options: SubscribeOptions,
        next: &dyn Bus,
    ) -> Result<Arc<dyn Receiver>> {
        let receiver = next.subscribe(subscription, options).await?;
        Ok(layered_receiver(receiver, Claiming::new(Arc::clone(&self.store))))
    }
}
