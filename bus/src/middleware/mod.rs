//! Middleware: what stands around a handler and changes how it is run.
//!
//! A [`Middleware`] gets an envelope and the handler behind it. It may change the envelope, call
//! the handler not at all, once or more often, and turn its answer into another.
//!
//! ```
//! use async_trait::async_trait;
//! use bus::middleware::{HandlerExt, Middleware};
//! use bus::pipeline::{Envelope, Failure, Handled, Handler};
//!
//! /// Sends foreign messages to the dead letters.
//! struct OursOnly;
//!
//! #[async_trait]
//! impl Middleware for OursOnly {
//!     async fn handle(&self, envelope: Envelope, next: &dyn Handler) -> Handled {
//!         if envelope.message().is_foreign() {
//!             return Err(Failure::Reject("a foreign producer".to_owned()));
//!         }
//!         next.handle(envelope).await
//!     }
//! }
//!
//! let handler = (async |_: Envelope| Ok(())).with(OursOnly);
//! ```
//!
//! # Order
//!
//! `handler.with(a).with(b)`: an envelope passes `b`, then `a`, then the handler. From the outside in,
//! so in reverse order of the calls to `with`:
//!
//! | middleware | what it does | why there |
//! |---|---|---|
//! | [`Tracing`] | a span for each attempt, linked to the producer's | what all others do is part of the span |
//! | [`CircuitBreaker`] | takes failures of many messages for an outage | counts what is left after the last run |
//! | [`Retry`] | runs the handler again within the attempt | each run passes all below again |
//! | [`Throttle`] | at most so many runs a second | its wait is not the handler's slowness |
//! | [`Timeout`] | ends runs that take too long | one run, and nothing else |
//! | `Metering` (feature `metrics`) | counts and times | the handler alone, each run |
//! | [`FaultInjection`] | fails on purpose | all others meet the faults |
//!
//! [`IdempotentReceiver`](crate::inbox::IdempotentReceiver) is the handler within all of them: the
//! unit of work that makes an effect happen once. It is no middleware, because looking up what was
//! seen before the handler and marking it afterwards loses one of the two in a crash.
//!
//! # Cancellation
//!
//! The pipeline drops the future of a handler whose time is over or whose lease is lost, with every
//! middleware around it: what a middleware awaits must be safe to cancel.

mod circuit_breaker;
mod fault_injection;
#[cfg(feature = "metrics")]
mod metering;
mod outcome;
mod retry;
mod throttle;
mod timeout;
mod tracing;

use async_trait::async_trait;

pub use crate::chance::FaultReport;
pub use circuit_breaker::{CircuitBreaker, OutagePolicy};
pub use fault_injection::{FaultInjection, HandlerFaultCounts, HandlerFaults};
#[cfg(feature = "metrics")]
pub use metering::Metering;
pub use retry::Retry;
pub use throttle::Throttle;
pub use timeout::Timeout;
pub use tracing::Tracing;

use crate::pipeline::{Envelope, Handled, Handler};

/// What happens around each call to a [`Handler`].
#[async_trait]
pub trait Middleware: Send + Sync + 'static {
    /// Handles `envelope`, with `next` or without.
    async fn handle(&self, envelope: Envelope, next: &dyn Handler) -> Handled;
}

/// Puts middleware on a handler.
pub trait HandlerExt: Handler + Sized + 'static {
    /// This handler with `middleware` around it.
    fn with<M: Middleware>(self, middleware: M) -> Wrapped<M, Self> {
        Wrapped { middleware, handler: self }
    }
}

impl<H: Handler + Sized + 'static> HandlerExt for H {}

/// A handler with one middleware around it; see [`HandlerExt::with`].
#[derive(Debug)]
pub struct Wrapped<M, H> {
    middleware: M,
    handler: H,
}

#[async_trait]
impl<M: Middleware, H: Handler + 'static> Handler for Wrapped<M, H> {
    async fn handle(&self, envelope: Envelope) -> Handled {
        self.middleware.handle(envelope, &self.handler).await
    }
}
