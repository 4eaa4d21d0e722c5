//! The message, and a message on its way out.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::{Destination, Headers, MessageId, MessageKey};

/// What is sent: an id, an optional ordering key, headers, a content type and a body of bytes.
///
/// One pointer wide: a bus keeps a message for redelivery, hands it out and fans it out to groups,
/// and each of these is a clone. Changing a shared message copies it first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message(Arc<Inner>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Inner {
    id: MessageId,
    key: Option<MessageKey>,
    headers: Headers,
    content_type: Option<Cow<'static, str>>,
    body: Bytes,
    foreign: bool,
}

impl Message {
    /// A message without key, headers and content type.
    #[must_use]
    pub fn new(id: MessageId, body: impl Into<Bytes>) -> Self {
        let body = body.into();
        Self(Arc::new(Inner { id, key: None, headers: Headers::new(), content_type: None, body, foreign: false }))
    }

    /// For backends: a message of a producer that does not use this crate. Its id is the broker's
    /// own, for want of a better one.
    #[must_use]
    pub fn foreign(broker_id: MessageId, body: impl Into<Bytes>) -> Self {
        Self::new(broker_id, body).changed(|inner| inner.foreign = true)
    }

    /// The same message with an ordering key.
    #[must_use]
    pub fn with_key(self, key: MessageKey) -> Self {
        self.changed(|inner| inner.key = Some(key))
    }

    /// The same message with these headers in place of its own.
    #[must_use]
    pub fn with_headers(self, headers: Headers) -> Self {
        self.changed(|inner| inner.headers = headers)
    }

    /// The same message with a media type, such as `application/json`.
    #[must_use]
    pub fn with_content_type(self, content_type: impl Into<Cow<'static, str>>) -> Self {
        self.changed(|inner| inner.content_type = Some(content_type.into()))
    }

    fn changed(mut self, change: impl FnOnce(&mut Inner)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }

    /// The id, the same over all deliveries and resends.
    #[must_use]
    pub fn id(&self) -> &MessageId {
        &self.0.id
    }

    /// Whether the id is only the broker's: a better one may stand in the body.
    #[must_use]
    pub fn is_foreign(&self) -> bool {
        self.0.foreign
    }

    /// The ordering key.
    #[must_use]
    pub fn key(&self) -> Option<&MessageKey> {
        self.0.key.as_ref()
    }

    /// The headers.
    #[must_use]
    pub fn headers(&self) -> &Headers {
        &self.0.headers
    }

    /// The headers, to be changed by a layer.
    pub fn headers_mut(&mut self) -> &mut Headers {
        &mut Arc::make_mut(&mut self.0).headers
    }

    /// The media type of the body, where the producer gave one.
    #[must_use]
    pub fn content_type(&self) -> Option<&str> {
        self.0.content_type.as_deref()
    }

    /// The body as sent.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.0.body
    }

    /// Replaces the body, for a layer that keeps it elsewhere or writes it otherwise.
    pub fn set_body(&mut self, body: impl Into<Bytes>) {
        Arc::make_mut(&mut self.0).body = body.into();
    }

    /// Body, headers and key together in bytes: what a size limit is compared with.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.0.body.len() + self.0.headers.size_bytes() + self.0.key.as_ref().map_or(0, |key| key.as_str().len())
    }
}

/// A message on its way to a destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    destination: Destination,
    message: Message,
    delay: Duration,
}

impl Outgoing {
    /// For immediate delivery.
    #[must_use]
    pub fn new(destination: Destination, message: Message) -> Self {
        Self { destination, message, delay: Duration::ZERO }
    }

    /// The same message, not to be delivered before `delay` has passed since acceptance.
    ///
    /// Needs [`Capability::delay_max`](crate::Capability); a bus without it refuses the message.
    #[must_use]
    pub fn delayed(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Where it goes.
    #[must_use]
    pub fn destination(&self) -> &Destination {
        &self.destination
    }

    /// What goes.
    #[must_use]
    pub fn message(&self) -> &Message {
        &self.message
    }

    /// The message, to be changed by a layer.
    pub fn message_mut(&mut self) -> &mut Message {
        &mut self.message
    }

    /// How long it is held back after acceptance.
    #[must_use]
    pub fn delay(&self) -> Duration {
        self.delay
    }

    /// Destination, message and delay, owned.
    #[must_use]
    pub fn into_parts(self) -> (Destination, Message, Duration) {
        (self.destination, self.message, self.delay)
    }
}
