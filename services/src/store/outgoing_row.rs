//! An outgoing message as it waits in the outbox.

use std::time::Duration;

use bus::{Destination, Error, ErrorKind, Headers, Message, MessageId, MessageKey, Outgoing, Result};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// Everything that is sent, so that a resend has the same bytes.
///
/// The body is text: all that the services send is JSON, and a row of text can be read by people.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct OutgoingRow {
    destination: String,
    message_id: String,
    key: Option<String>,
    content_type: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    headers: Vec<(String, Vec<u8>)>,
    #[serde(default, skip_serializing_if = "Duration::is_zero")]
    delay: Duration,
    body: String,
    /// Why the bus refused it for good, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refusal: Option<String>,
}

impl OutgoingRow {
    pub(super) fn of(outgoing: &Outgoing) -> Self {
        let message = outgoing.message();
        Self {
            destination: outgoing.destination().to_string(),
            message_id: message.id().to_string(),
            key: message.key().map(ToString::to_string),
            content_type: message.content_type().map(ToOwned::to_owned),
            headers: message.headers().iter().map(|(name, value)| (name.to_owned(), value.to_vec())).collect(),
            delay: outgoing.delay(),
            body: String::from_utf8_lossy(message.body()).into_owned(),
            refusal: None,
        }
    }

    pub(super) fn refused(self, refusal: Option<String>) -> Self {
        Self { refusal, ..self }
    }

    pub(super) fn into_outgoing(self) -> Result<Outgoing> {
        let headers: Headers = self.headers.into_iter().map(|(name, value)| (name, Bytes::from(value))).collect();
        let mut message = Message::new(MessageId::parse(&self.message_id)?, self.body).with_headers(headers);
        if let Some(key) = &self.key {
            message = message.with_key(MessageKey::new(key)?);
        }
        if let Some(content_type) = self.content_type {
            message = message.with_content_type(content_type);
        }
        Ok(Outgoing::new(Destination::new(&self.destination)?, message).delayed(self.delay))
    }
}

/// Refuses a message that a row could not give back byte for byte.
pub(super) fn check(outgoing: &[Outgoing]) -> Result<()> {
    let binary = outgoing.iter().find(|outgoing| std::str::from_utf8(outgoing.message().body()).is_err());
    binary.map_or(Ok(()), |outgoing| {
        let text = "the outbox of this store takes text bodies only; encode binary ones";
        Err(Error::new(ErrorKind::Invalid, "outbox", text).with("message_id", outgoing.message().id()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{decode, encode};

    #[test]
    fn a_row_gives_back_the_message_it_was_made_of() {
        let headers = [("traceparent", &b"00-1-2-01"[..]), ("odd", &[0xff, 0][..])].into_iter().collect();
        let message = Message::new(MessageId::parse("m-1").expect("an id"), "{\"a\":1}")
            .with_key(MessageKey::new("ORD-1").expect("a key"))
            .with_headers(headers)
            .with_content_type("application/json");
        let queue = Destination::new("orders").expect("a name");
        for outgoing in [
            Outgoing::new(queue.clone(), message.clone()),
            Outgoing::new(queue, message).delayed(Duration::from_millis(1_500)),
        ] {
            let stored: OutgoingRow = decode(&encode(&OutgoingRow::of(&outgoing))).expect("readable");
            assert_eq!(stored.into_outgoing().expect("legal"), outgoing);
        }
    }

    #[test]
    fn a_body_that_is_no_text_is_refused_and_not_changed() {
        let message = Message::new(MessageId::parse("m-1").expect("an id"), &[0xff][..]);
        let outgoing = Outgoing::new(Destination::new("orders").expect("a name"), message);
        assert_eq!(check(&[outgoing]).expect_err("binary").kind(), ErrorKind::Invalid);
    }
}
