//! A bus seen as a place for values.

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Decode, Decoding, Encode, Json};
use crate::pipeline::{Envelope, Handled, Pipeline};
use crate::{
    Bus, BusExt, Destination, Error, ErrorKind, Message, MessageKey, Outgoing, PublishOutcome, Receipt, Result, Seams,
    Subscription,
};

/// A bus and the seams, to publish and subscribe with values. A clone shares both.
///
/// Each method exists twice: for any codec, and for [`Json`]. Methods that take a key take a
/// [`MessageKey`], or `None` where order is of no interest.
#[derive(Clone, Debug)]
pub struct Front {
    bus: Arc<dyn Bus>,
    seams: Seams,
}

impl Front {
    /// A front of `bus`; ids of messages come from `seams`.
    #[must_use]
    pub fn new(bus: Arc<dyn Bus>, seams: Seams) -> Self {
        Self { bus, seams }
    }

    /// The bus behind it.
    #[must_use]
    pub fn bus(&self) -> &Arc<dyn Bus> {
        &self.bus
    }

    /// A message with a fresh id, to be published later, again, delayed, or from an outbox.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) for a value the codec has no bytes for.
    pub fn outgoing<T: ?Sized>(
        &self,
        codec: &impl Encode<T>,
        destination: &Destination,
        key: impl Into<Option<MessageKey>>,
        value: &T,
    ) -> Result<Outgoing> {
        let key = key.into();
        let identity = key.as_ref().map_or(destination.as_str(), MessageKey::as_str);
        let message =
            Message::new(self.seams.message_id(identity), codec.encode(value)?).with_content_type(codec.content_type());
        let message = match key {
            Some(key) => message.with_key(key),
            None => message,
        };
        Ok(Outgoing::new(destination.clone(), message))
    }

    /// [`outgoing`](Self::outgoing) in JSON.
    ///
    /// # Errors
    /// See there.
    pub fn outgoing_json<T: Serialize + ?Sized>(
        &self,
        destination: &Destination,
        key: impl Into<Option<MessageKey>>,
        value: &T,
    ) -> Result<Outgoing> {
        self.outgoing(&Json, destination, key, value)
    }

    /// Publishes one value under a fresh id. `Ok`: the bus took responsibility, to the degree
    /// [`Capability::durability`](crate::Capability) states.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) for a value the codec has no bytes for; otherwise those of
    /// [`PublishOutcome::into_result`], with the message's id. After a [`Timeout`](ErrorKind::Timeout)
    /// the message may be on the bus, and this call again would publish it under another id: whoever
    /// resends keeps an [`outgoing`](Self::outgoing). A dropped call leaves it open as well.
    pub async fn publish<T: ?Sized>(
        &self,
        codec: &impl Encode<T>,
        destination: &Destination,
        key: impl Into<Option<MessageKey>>,
        value: &T,
    ) -> Result<Receipt> {
        let outgoing = self.outgoing(codec, destination, key, value)?;
        let message_id = outgoing.message().id().clone();
        let answer = self.bus.publish_one(outgoing).await.into_result();
        answer.map_err(|error| error.with("message_id", message_id))
    }

    /// [`publish`](Self::publish) in JSON.
    ///
    /// # Errors
    /// See there.
    pub async fn publish_json<T: Serialize + ?Sized>(
        &self,
        destination: &Destination,
        key: impl Into<Option<MessageKey>>,
        value: &T,
    ) -> Result<Receipt> {
        self.publish(&Json, destination, key, value).await
    }

    /// Publishes values in one batch and answers per value, in input order.
    ///
    /// A value the codec has no bytes for is `Refused` as [`Invalid`](ErrorKind::Invalid), alone and
    /// in its place. A dropped call leaves each value published or not.
    pub async fn publish_all<T, K: Into<Option<MessageKey>>>(
        &self,
        codec: &impl Encode<T>,
        destination: &Destination,
        values: impl IntoIterator<Item = (K, T)>,
    ) -> Vec<PublishOutcome> {
        let (mut batch, mut refusals) = (Vec::new(), Vec::new());
        for (index, (key, value)) in values.into_iter().enumerate() {
            match self.outgoing(codec, destination, key, &value) {
                Ok(outgoing) => batch.push(outgoing),
                Err(error) => refusals.push((index, error)),
            }
        }
        let sent_count = batch.len();
        let mut outcomes = if batch.is_empty() { Vec::new() } else { self.bus.publish(batch).await };
        outcomes.resize_with(sent_count, unanswered);
        // In ascending order, so each place counts the refusals before it.
        for (index, error) in refusals {
            outcomes.insert(index, PublishOutcome::Refused(error));
        }
        outcomes
    }

    /// [`publish_all`](Self::publish_all) in JSON.
    pub async fn publish_all_json<T: Serialize, K: Into<Option<MessageKey>>>(
        &self,
        destination: &Destination,
        values: impl IntoIterator<Item = (K, T)>,
    ) -> Vec<PublishOutcome> {
        self.publish_all(&Json, destination, values).await
    }

    /// A pipeline whose handler gets values; what cannot be read is [quarantined](super#quarantine).
    ///
    /// For a handler that is a type, or one with middleware around it, build the pipeline from a
    /// [`Decoding`].
    #[must_use]
    pub fn subscribe<T, C, F, W>(&self, codec: C, subscription: Subscription, handler: F) -> Pipeline
    where
        T: Send + 'static,
        C: Decode<T> + 'static,
        F: Fn(T, Envelope) -> W + Send + Sync + 'static,
        W: Future<Output = Handled> + Send + 'static,
    {
        let handler = Arc::new(Decoding::new(codec, handler));
        Pipeline::new(Arc::clone(&self.bus), subscription, handler, self.seams.clone())
    }

    /// [`subscribe`](Self::subscribe) in JSON.
    #[must_use]
    pub fn subscribe_json<T, F, W>(&self, subscription: Subscription, handler: F) -> Pipeline
    where
        T: DeserializeOwned + Send + 'static,
        F: Fn(T, Envelope) -> W + Send + Sync + 'static,
        W: Future<Output = Handled> + Send + 'static,
    {
        self.subscribe(Json, subscription, handler)
    }
}

fn unanswered() -> PublishOutcome {
    let message = "the backend answered fewer messages than it was given";
    PublishOutcome::Unknown(Error::new(ErrorKind::Unexpected, "publish", message))
}
