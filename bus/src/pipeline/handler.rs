//! What a handler gets, and what it may answer.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::{Message, MessageId, MessageKey, Subscription};

/// Processes one message at a time per key, many at a time over keys.
///
/// The future is dropped when its time is over or its lease is lost: what it awaits must be safe to
/// cancel. A panic is caught and counts as [`Failure::Retry`].
#[async_trait]
pub trait Handler: Send + Sync {
    /// `Ok` acknowledges the message; it must mean that the effect is durable.
    async fn handle(&self, envelope: Envelope) -> Handled;
}

/// A function from envelope to answer is a handler.
#[async_trait]
impl<F, W> Handler for F
where
    F: Fn(Envelope) -> W + Send + Sync,
    W: Future<Output = Handled> + Send,
{
    async fn handle(&self, envelope: Envelope) -> Handled {
        self(envelope).await
    }
}

/// A handler's answer.
pub type Handled = Result<(), Failure>;

/// Why a message was not processed, and so what becomes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Try again after the policy's back-off; after the last attempt [`Policy::poison`](super::Policy::poison)
    /// says what becomes of it.
    Retry(String),
    /// The same, after a delay of the handler's choice; where the bus cannot delay a nack for so long, after
    /// as long as [it can](crate::Capability::nack_delay_max).
    RetryAfter(Duration, String),
    /// Never process it: to the dead letters at once.
    Reject(String),
    /// Something the handler depends on is down. Not the message's fault: it goes back, the attempt
    /// does not count, and the subscription pauses and probes until one message gets through.
    Unavailable(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Retry(cause) => write!(f, "to be tried again: {cause}"),
            Self::RetryAfter(delay, cause) => write!(f, "to be tried again after {delay:?}: {cause}"),
            Self::Reject(reason) => write!(f, "never to be processed: {reason}"),
            Self::Unavailable(dependency) => write!(f, "unavailable: {dependency}"),
        }
    }
}

impl std::error::Error for Failure {}

/// Id and ordering key of a message, as far as they can be told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The id; `None` keeps the message's own.
    pub message_id: Option<MessageId>,
    /// The ordering key; `None` keeps the message's own.
    pub key: Option<MessageKey>,
}

/// A message with what is known about its delivery.
///
/// A clone shares the message and costs a few pointers.
#[derive(Clone, Debug)]
pub struct Envelope {
    message: Message,
    message_id: MessageId,
    subscription: Arc<Subscription>,
    attempt: u32,
    receive_count: Option<u32>,
}

impl Envelope {
    /// For tests and for callers that run a handler outside a pipeline.
    #[must_use]
    pub fn new(
        message: Message,
        message_id: MessageId,
        subscription: Arc<Subscription>,
        attempt: u32,
        receive_count: Option<u32>,
    ) -> Self {
        Self { message, message_id, subscription, attempt, receive_count }
    }

    /// The message as received.
    #[must_use]
    pub fn message(&self) -> &Message {
        &self.message
    }

    /// The id to deduplicate by: the producer's, else the body's, else the broker's.
    #[must_use]
    pub fn message_id(&self) -> &MessageId {
        &self.message_id
    }

    /// Where it was received.
    #[must_use]
    pub fn subscription(&self) -> &Subscription {
        &self.subscription
    }

    /// Which handler start this is, from 1.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// How often the broker handed it out, where it counts.
    #[must_use]
    pub fn receive_count(&self) -> Option<u32> {
        self.receive_count
    }
}
