//! The step from message to value, and quarantine where there is none.

use std::any::type_name;
use std::marker::PhantomData;

use async_trait::async_trait;

use super::Decode;
use crate::Message;
use crate::inbox::{UnitHandler, UnitOfWork};
use crate::pipeline::{Envelope, Failure, Handled, Handler};

/// Longest reason of a quarantine, in bytes: it becomes a header, which counts into size limits, and
/// a fault may quote the whole of what it found.
pub const REASON_BYTES_MAX: usize = 512;

/// Processes values of `T`; otherwise as [`Handler`].
#[async_trait]
pub trait TypedHandler<T>: Send + Sync {
    /// `Ok` acknowledges the message; it must mean that the effect is durable.
    async fn handle(&self, value: T, envelope: Envelope) -> Handled;
}

/// A function from value and envelope to answer is a handler.
#[async_trait]
impl<T, F, W> TypedHandler<T> for F
where
    T: Send + 'static,
    F: Fn(T, Envelope) -> W + Send + Sync,
    W: Future<Output = Handled> + Send,
{
    async fn handle(&self, value: T, envelope: Envelope) -> Handled {
        self(value, envelope).await
    }
}

/// Describes the effect of values of `T`; otherwise as [`UnitHandler`].
#[async_trait]
pub trait TypedUnitHandler<T, E>: Send + Sync {
    /// Fills `unit`. May run again for the same delivery, each time with the value read anew.
    async fn handle(&self, value: T, envelope: &Envelope, unit: &mut UnitOfWork<E>) -> Handled;
}

/// A handler of values as a handler of messages.
///
/// Around a [`TypedHandler`] it is a [`Handler`], around a [`TypedUnitHandler`] a [`UnitHandler`]
/// for the [`IdempotentReceiver`](crate::inbox::IdempotentReceiver).
///
/// ```
/// use bus::middleware::{HandlerExt, Middleware};
/// use bus::pipeline::{Envelope, Handled, Handler};
/// use bus::typed::{Decoding, Json};
///
/// # struct Timing;
/// # #[async_trait::async_trait]
/// # impl Middleware for Timing {
/// #     async fn handle(&self, envelope: Envelope, next: &dyn Handler) -> Handled {
/// #         next.handle(envelope).await
/// #     }
/// # }
/// let handler = Decoding::new(Json, async |order: Vec<String>, _: Envelope| {
///     println!("{order:?}");
///     Ok(())
/// });
/// let timed = handler.with(Timing);
/// ```
#[derive(Debug)]
pub struct Decoding<C, T, H> {
    codec: C,
    handler: H,
    value: PhantomData<fn() -> T>,
}

impl<C: Decode<T>, T, H> Decoding<C, T, H> {
    /// Reads each message with `codec` and hands the value to `handler`.
    pub fn new(codec: C, handler: H) -> Self {
        Self { codec, handler, value: PhantomData }
    }
}

#[async_trait]
impl<C, T, H> Handler for Decoding<C, T, H>
where
    C: Decode<T>,
    T: Send,
    H: TypedHandler<T>,
{
    async fn handle(&self, envelope: Envelope) -> Handled {
        let value = decode(&self.codec, envelope.message())?;
        self.handler.handle(value, envelope).await
    }
}

#[async_trait]
impl<C, T, E, H> UnitHandler<E> for Decoding<C, T, H>
where
    C: Decode<T>,
    T: Send,
    E: Send,
    H: TypedUnitHandler<T, E>,
{
    async fn handle(&self, envelope: &Envelope, unit: &mut UnitOfWork<E>) -> Handled {
        let value = decode(&self.codec, envelope.message())?;
        self.handler.handle(value, envelope, unit).await
    }
}

/// The value of a message, for handlers that get the message itself.
///
/// # Errors
/// [`Failure::Reject`] with the type, the fault and its place; or with the content type, when the
/// codec does not understand the one that is given.
pub fn decode<T>(codec: &impl Decode<T>, message: &Message) -> Result<T, Failure> {
    let expected = type_name::<T>();
    if let Some(content_type) = message.content_type().filter(|given| !codec.understands(given)) {
        let known = codec.content_type();
        return Err(reject(format!("cannot read {expected}: the content type is {content_type:?}, not {known}")));
    }
    codec.decode(message.body()).map_err(|fault| reject(format!("cannot read {expected}: {fault}")))
}

fn reject(mut reason: String) -> Failure {
    if reason.len() > REASON_BYTES_MAX {
        reason.truncate(reason.floor_char_boundary(REASON_BYTES_MAX - "…".len()));
        reason.push('…');
    }
    Failure::Reject(reason)
}
