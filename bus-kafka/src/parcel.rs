//! A record on its way out: a message of the application, or a copy of what was read.

use bus::{Destination, Message};
use rdkafka::message::{Header, OwnedHeaders};

use crate::convert;
use crate::record::Record;

/// What is sent, and to which topic.
pub(crate) struct Parcel {
    pub(crate) topic: Destination,
    /// In front of all other headers.
    labels: Vec<(&'static str, String)>,
    content: Content,
}

enum Content {
    Message(Message),
    /// As it was read, byte for byte, without so many headers in front.
    Copy(Record, usize),
}

impl Parcel {
    pub(crate) fn of(topic: Destination, message: Message) -> Self {
        Self { topic, labels: Vec::new(), content: Content::Message(message) }
    }

    /// A copy without its first `label_count` headers.
    pub(crate) fn copy(topic: Destination, record: Record, label_count: usize) -> Self {
        Self { topic, labels: Vec::new(), content: Content::Copy(record, label_count) }
    }

    /// With one more label, behind those it has.
    pub(crate) fn labelled(mut self, name: &'static str, value: String) -> Self {
        self.labels.push((name, value));
        self
    }

    pub(crate) fn key(&self) -> Option<&[u8]> {
        match &self.content {
            Content::Message(message) => message.key().map(|key| key.as_str().as_bytes()),
            Content::Copy(record, _) => record.key(),
        }
    }

    pub(crate) fn body(&self) -> &[u8] {
        match &self.content {
            Content::Message(message) => message.body(),
            Content::Copy(record, _) => record.body_bytes(),
        }
    }

    pub(crate) fn headers(&self) -> OwnedHeaders {
        let own_count = match &self.content {
            Content::Message(message) => convert::header_count(message),
            Content::Copy(record, _) => record.headers().count(),
        };
        let mut wire = OwnedHeaders::new_with_capacity(self.labels.len() + own_count);
        for (name, value) in &self.labels {
            wire = wire.insert(Header { key: name, value: Some(value.as_str()) });
        }
        match &self.content {
            Content::Message(message) => convert::add_headers(wire, message),
            Content::Copy(record, label_count) => {
                record.headers().skip(*label_count).fold(wire, |wire, (name, value)| {
                    // It was read as text.
                    let name = String::from_utf8_lossy(name);
                    wire.insert(Header { key: &name, value: Some(&record.value(value)[..]) })
                })
            }
        }
    }

    /// How it is called in errors.
    pub(crate) fn message_id(&self) -> String {
        match &self.content {
            Content::Message(message) => message.id().to_string(),
            Content::Copy(record, _) => convert::id_text(record).unwrap_or_else(|| "none".to_owned()),
        }
    }
}
