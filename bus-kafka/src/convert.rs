//! A message as Kafka carries it, and back.
//!
//! Body and key are the record's own. Id, content type and headers are record headers; a header that
//! has the name of one of ours, or a name Kafka's client cannot carry, is written under another.

use bus::{Headers, Message, MessageId, MessageKey};
use bytes::Bytes;
use rdkafka::message::{BorrowedMessage, Header, Headers as _, Message as _, OwnedHeaders};

/// Our own headers.
const ID: &str = "x-message-id";
const CONTENT_TYPE: &str = "content-type";
/// In front of a name that is one of ours, or begins like this.
const ESCAPE: char = '~';
/// In front of the hexadecimal bytes of a name with a NUL in it: librdkafka's names end there.
const HEXED: &str = "~x";

/// The record headers of a message.
pub(crate) fn headers_of(message: &Message) -> OwnedHeaders {
    let mut wire = OwnedHeaders::new_with_capacity(message.headers().count() + 2);
    // A foreign message, on its way to the dead letters, stays one.
    if !message.is_foreign() {
        let id = message.id().to_string();
        wire = wire.insert(Header { key: ID, value: Some(id.as_str()) });
    }
    if let Some(content_type) = message.content_type() {
        wire = wire.insert(Header { key: CONTENT_TYPE, value: Some(content_type) });
    }
    for (name, value) in message.headers().iter() {
        wire = match escaped(name) {
            None => wire.insert(Header { key: name, value: Some(&value[..]) }),
            Some(name) => wire.insert(Header { key: &name, value: Some(&value[..]) }),
        };
    }
    wire
}

fn escaped(name: &str) -> Option<String> {
    if name.contains('\0') {
        return Some(name.bytes().fold(HEXED.to_owned(), |text, byte| format!("{text}{byte:02x}")));
    }
    (name == ID || name == CONTENT_TYPE || name.starts_with(ESCAPE)).then(|| format!("{ESCAPE}{ESCAPE}{name}"))
}

/// The name behind an escape. Names of foreign producers are taken as they are.
fn unescaped(name: &str) -> Option<String> {
    if let Some(name) = name.strip_prefix("~~") {
        return Some(name.to_owned());
    }
    let digits = name.strip_prefix(HEXED)?;
    let bytes: Option<Vec<u8>> = (0..digits.len())
        .step_by(2)
        .map(|at| digits.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok()))
        .collect();
    String::from_utf8(bytes?).ok()
}

/// A record, read or not.
pub(crate) struct Read {
    pub(crate) message: Message,
    /// Why nothing can be made of it; then the message is the raw one.
    pub(crate) fault: Option<String>,
}

/// Reads what a poll brought.
pub(crate) fn read(record: &BorrowedMessage<'_>) -> Read {
    let body = Bytes::copy_from_slice(record.payload().unwrap_or_default());
    let mut pairs: Vec<(&str, &[u8])> = Vec::new();
    if let Some(headers) = record.headers() {
        // librdkafka's names end at a NUL; one that is no UTF-8 would be no Kafka header.
        pairs.extend(headers.iter().map(|header| (header.key, header.value.unwrap_or_default())));
    }
    let place = || format!("{}/{}/{}", record.topic(), record.partition(), record.offset());
    decode(place, record.key(), &pairs, body)
}

/// `place` names the record, for one that has no id of ours.
fn decode(place: impl Fn() -> String, key: Option<&[u8]>, pairs: &[(&str, &[u8])], body: Bytes) -> Read {
    let broker_id = || MessageId::parse(&place()).expect("a topic's name and two numbers are short and legal");
    match ours_or_foreign(&broker_id, key, pairs, body.clone()) {
        Ok(message) => Read { message, fault: None },
        Err(fault) => {
            let headers: Headers =
                pairs.iter().map(|(name, value)| ((*name).to_owned(), Bytes::copy_from_slice(value))).collect();
            Read { message: Message::foreign(broker_id(), body).with_headers(headers), fault: Some(fault) }
        }
    }
}

fn ours_or_foreign(
    broker_id: &dyn Fn() -> MessageId,
    key: Option<&[u8]>,
    pairs: &[(&str, &[u8])],
    body: Bytes,
) -> Result<Message, String> {
    let text_of = |wanted: &str| {
        let found = pairs.iter().find(|(name, _)| *name == wanted);
        found.map(|(_, value)| std::str::from_utf8(value).map_err(|error| format!("the header `{wanted}`: {error}")))
    };
    let id = text_of(ID).transpose()?;
    let mut message = match id {
        Some(id) => Message::new(MessageId::parse(id).map_err(|error| error.to_string())?, body),
        None => Message::foreign(broker_id(), body),
    };
    if let Some(key) = key.filter(|key| !key.is_empty()) {
        let key = std::str::from_utf8(key).map_err(|error| format!("the key: {error}"))?;
        message = message.with_key(MessageKey::new(key).map_err(|error| error.to_string())?);
    }
    if let Some(content_type) = text_of(CONTENT_TYPE).transpose()? {
        message = message.with_content_type(content_type.to_owned());
    }
    let mut headers = Headers::new();
    for (name, value) in pairs.iter().filter(|(name, _)| *name != ID && *name != CONTENT_TYPE) {
        let value = Bytes::copy_from_slice(value);
        match unescaped(name).filter(|_| name.starts_with(ESCAPE) && id.is_some()) {
            Some(name) => headers.set(name, value),
            None => headers.set((*name).to_owned(), value),
        }
    }
    Ok(message.with_headers(headers))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(body: &'static [u8]) -> Message {
        Message::new(MessageId::parse("m-1").expect("legal"), body)
    }

    fn sent_and_read(sent: &Message) -> Read {
        let wire = headers_of(sent);
        let pairs: Vec<(&str, &[u8])> =
            wire.as_borrowed().iter().map(|header| (header.key, header.value.unwrap_or_default())).collect();
        decode(
            || "orders/3/1442".to_owned(),
            sent.key().map(|key| key.as_str().as_bytes()),
            &pairs,
            sent.body().clone(),
        )
    }

    #[test]
    fn every_message_reads_back_as_it_was_sent() {
        let odd: Headers = [
            ("주문", &b"\xff\x00"[..]),
            ("", b""),
            ("x-message-id", b"spoof"),
            ("content-type", b"spoof"),
            ("~x00", b"1"),
            ("~~", b"2"),
            ("a\0b", b"3"),
        ]
        .into_iter()
        .collect();
        for headers in [Headers::new(), odd] {
            for body in [&b"{}"[..], b"", b"\xff\xfe"] {
                let key = MessageKey::new("ORD-1").expect("legal");
                let sent = message(body).with_headers(headers.clone()).with_key(key).with_content_type("text/plain");
                let read = sent_and_read(&sent);
                assert_eq!((read.fault, &read.message), (None, &sent));
                let bare = message(body).with_headers(headers.clone());
                assert_eq!(sent_and_read(&bare).message, bare);
            }
        }
    }

    #[test]
    fn a_foreign_message_has_its_place_for_an_id_and_its_headers_as_they_are() {
        let read = decode(|| "orders/3/1442".to_owned(), Some(b"k"), &[("~~a", b"1")], Bytes::from_static(b"{}"));
        assert!(read.message.is_foreign() && read.fault.is_none());
        assert_eq!(read.message.id().to_string(), "orders/3/1442");
        assert_eq!(read.message.headers().text("~~a"), Some("1"));
    }

    #[test]
    fn what_cannot_be_read_says_why_and_keeps_its_bytes() {
        for (key, pairs) in [
            (Some(&b"\xff"[..]), vec![]),
            (None, vec![(ID, &b""[..])]),
            (None, vec![(ID, &b"\xff"[..])]),
            (None, vec![(CONTENT_TYPE, &b"\xff"[..])]),
        ] {
            let read = decode(|| "orders/3/1442".to_owned(), key, &pairs, Bytes::from_static(b"raw"));
            assert!(read.fault.is_some(), "{key:?} {pairs:?}");
            assert_eq!((&read.message.body()[..], read.message.headers().count()), (&b"raw"[..], pairs.len()));
        }
    }
}
