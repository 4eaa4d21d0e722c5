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
//! `handler.with(a).with(b)`: an envelope passes `b`, then `a`, then the handler.
//!
//! # Cancellation
//!
//! The pipeline drops the future of a handler whose time is over or whose lease is lost, with every
//! middleware around it: what a middleware awaits must be safe to cancel.

#[cfg(feature = "metrics")]
mod metering;
mod outcome;
mod tracing;

use async_trait::async_trait;

#[cfg(feature = "metrics")]
pub use metering::Metering;
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
