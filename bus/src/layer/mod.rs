//! Layers: what stands around a bus and changes how it behaves.
//!
//! A [`Layer`] gets every call together with the bus behind it. Its methods have bodies that pass
//! the call on, so a layer writes down only what it changes, and nothing it does not know of is
//! lost on the way: a method added to [`Bus`] one day reaches the bus through every layer.
//!
//! ```
//! use std::sync::Arc;
//! use async_trait::async_trait;
//! use bus::layer::{Layer, LayerExt};
//! use bus::{Bus, Outgoing, PublishOutcome, Seams};
//! use bus_memory::{MemoryBus, MemoryOptions};
//!
//! #[derive(Debug)]
//! struct Stamp;
//!
//! #[async_trait]
//! impl Layer for Stamp {
//!     async fn publish(&self, mut batch: Vec<Outgoing>, next: &dyn Bus) -> Vec<PublishOutcome> {
//!         for outgoing in &mut batch {
//!             outgoing.message_mut().headers_mut().set("x-source", "shop");
//!         }
//!         next.publish(batch).await
//!     }
//! }
//!
//! let bus: Arc<dyn Bus> = MemoryBus::new(Seams::system(), MemoryOptions::default());
//! let stamping = bus.layer(Stamp);
//! ```
//!
//! # Order
//!
//! `bus.layer(a).layer(b)`: a call passes `b`, then `a`, then the bus. From the outside in, so in
//! reverse order of the calls to `layer`:
//!
//! | layer | what it does | why there |
//! |---|---|---|
//! | [`Tracing`] | a span for each call, the trace's context in the headers | one span covers what is repeated below, with the same headers |
//! | [`Retry`] | publishes again what was not taken | each publish passes all below again |
//! | [`ClaimCheck`] | keeps large bodies in a store | what its store refuses is tried again; all below is about the broker |
//! | [`CircuitBreaker`] | stops calling a bus that does not answer | what is refused at once neither waits nor counts below |
//! | [`Throttle`] | at most so many messages a second | its wait is not the broker's slowness |
//! | [`Timeout`] | ends calls that take too long | one call of the broker, and nothing else |
//! | `Metering` (feature `metrics`) | counts and times | what the broker sees, repetitions included |
//! | [`FaultInjection`] | fails on purpose | all others meet the faults |
//!
//! # The receiving side
//!
//! A layer that changes what is received or settled wraps the receiver in [`Layer::subscribe`] with
//! a [`ReceiverLayer`] of its own, one for each receiver; see [`layered_receiver`]. Deliveries keep
//! their tokens through all layers, so a layer that changes nothing costs nothing per delivery.

mod circuit_breaker;
mod claim_check;
mod fault_injection;
mod layered;
mod layered_receiver;
#[cfg(feature = "metrics")]
mod metering;
mod partial;
mod retry;
mod throttle;
mod timeout;
mod tracing;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

pub use circuit_breaker::{CircuitBreaker, CircuitPolicy};
pub use claim_check::{CLAIM, CLAIM_BYTES, ClaimCheck, ClaimStore, MemoryClaims};
pub use fault_injection::{FaultCounts, FaultInjection, FaultReport, Faults};
pub use layered_receiver::layered_receiver;
#[cfg(feature = "metrics")]
pub use metering::Metering;
pub use retry::{Retry, RetryPolicy};
pub use throttle::Throttle;
pub use timeout::{Limits, Timeout};
pub use tracing::Tracing;

use crate::{
    Bus, BusState, Capability, Declaration, Delivery, Depth, ExtendOutcome, Outgoing, PublishOutcome, Receiver, Result,
    SettleOutcome, Settlement, SubscribeOptions, Subscription, Token, Unsettled,
};

/// What happens around each call to a [`Bus`].
///
/// Every method passes the call on unless it is overridden. `next` is the bus behind the layer.
/// What a method answers must keep the promises of the method of [`Bus`] with its name.
#[async_trait]
pub trait Layer: Send + Sync + fmt::Debug + 'static {
    /// What the bus can do with this layer around it. Asked once, when the layer is put on.
    fn capability(&self, next: &Capability) -> Capability {
        next.clone()
    }

    /// Around [`Bus::state`].
    fn state(&self, next: &dyn Bus) -> BusState {
        next.state()
    }

    /// Around [`Bus::declare`].
    async fn declare(&self, declarations: &[Declaration], next: &dyn Bus) -> Result<()> {
        next.declare(declarations).await
    }

    /// Around [`Bus::publish`].
    async fn publish(&self, batch: Vec<Outgoing>, next: &dyn Bus) -> Vec<PublishOutcome> {
        next.publish(batch).await
    }

    /// Around [`Bus::subscribe`]: the place to wrap a receiver with [`layered_receiver`].
    async fn subscribe(
        &self,
        subscription: &Subscription,
        options: SubscribeOptions,
        next: &dyn Bus,
    ) -> Result<Arc<dyn Receiver>> {
        next.subscribe(subscription, options).await
    }

    /// Around [`Bus::depth`].
    async fn depth(&self, subscription: &Subscription, next: &dyn Bus) -> Result<Depth> {
        next.depth(subscription).await
    }

    /// Around [`Bus::purge`].
    async fn purge(&self, subscription: &Subscription, next: &dyn Bus) -> Result<()> {
        next.purge(subscription).await
    }

    /// Around [`Bus::close`].
    async fn close(&self, deadline: Duration, next: &dyn Bus) -> Result<()> {
        next.close(deadline).await
    }
}

/// What happens around each call to one [`Receiver`].
///
/// Every method passes the call on unless it is overridden, and must keep the promises of the
/// method of [`Receiver`] with its name; those about dropped calls above all.
#[async_trait]
pub trait ReceiverLayer: Send + Sync + 'static {
    /// Around [`Receiver::receive`].
    async fn receive(&self, max: usize, into: &mut Vec<Delivery>, next: &dyn Receiver) -> Result<()> {
        next.receive(max, into).await
    }

    /// Around [`Receiver::settle`].
    async fn settle(&self, batch: Vec<Settlement>, next: &dyn Receiver) -> Vec<SettleOutcome> {
        next.settle(batch).await
    }

    /// Around [`Receiver::extend`].
    async fn extend(&self, tokens: &[Token], by: Duration, next: &dyn Receiver) -> Vec<ExtendOutcome> {
        next.extend(tokens, by).await
    }

    /// Around [`Receiver::release`].
    async fn release(&self, unstarted: Vec<Unsettled>, next: &dyn Receiver) {
        next.release(unstarted).await;
    }

    /// Around [`Receiver::lost`].
    async fn lost(&self, next: &dyn Receiver) -> Vec<Token> {
        next.lost().await
    }

    /// Around [`Receiver::stop`].
    fn stop(&self, next: &dyn Receiver) {
        next.stop();
    }

    /// Around [`Receiver::close`].
    async fn close(&self, next: &dyn Receiver) {
        next.close().await;
    }
}

/// Puts layers on a bus.
pub trait LayerExt: Sized {
    /// This bus with `layer` around it.
    fn layer(self, layer: impl Layer) -> Arc<dyn Bus>;
}

impl LayerExt for Arc<dyn Bus> {
    fn layer(self, layer: impl Layer) -> Arc<dyn Bus> {
        Arc::new(layered::Layered::new(self, layer))
    }
}
