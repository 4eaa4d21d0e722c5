//! A message as Kafka carries it, and back.
//!
//! Body and key are the record's own. Id, content type and headers are record headers; a header that
//! has the name of one of ours, or a name Kafka's client cannot carry, is written under another.

use bus::name::{KEY_BYTES_MAX, MESSAGE_ID_BYTES_MAX};
use bus::{Headers, Message, MessageId, MessageKey};
use rdkafka::message::{Header, OwnedHeaders};

use crate::hand::Place;
use crate::names::Names;
use crate::record::Record;

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

/// What cannot be read, raw and with the reason. Most records are told by a glance to be legal.
pub(crate) fn unreadable(record: &Record, topic: &str, place: Place) -> Option<(Message, String)> {
    let is_plain = |text: &[u8]| {
        (1..=MESSAGE_ID_BYTES_MAX.min(KEY_BYTES_MAX)).contains(&text.len())
            && text.iter().all(|byte| matches!(byte, b' '..=b'~'))
    };
    let is_legal = record.is_whole()
        && record.key().is_none_or(is_plain)
        && record.value_of(ID).is_none_or(is_plain)
        && record.value_of(CONTENT_TYPE).is_none_or(<[u8]>::is_ascii);
    if is_legal {
        return None;
    }
    let Read { message, fault } = read(record, topic, place, &mut Names::default());
    fault.map(|fault| (message, fault))
}

/// Reads a record of `place`, which names one that has no id of ours.
pub(crate) fn read(record: &Record, topic: &str, place: Place, names: &mut Names) -> Read {
    let broker_id = || {
        let id = MessageId::parse(&format!("{topic}/{}/{}", place.0, place.1));
        id.expect("a topic's name and two numbers are short and legal")
    };
    match ours_or_foreign(record, broker_id, names) {
        Ok(message) => Read { message, fault: None },
        Err(fault) => {
            let mut headers = Headers::new();
            for (name, value) in record.headers() {
                headers.set(names.name(name), record.value(value));
            }
            Read { message: Message::foreign(broker_id(), record.body()).with_headers(headers), fault: Some(fault) }
        }
    }
}

fn ours_or_foreign(record: &Record, broker_id: impl Fn() -> MessageId, names: &mut Names) -> Result<Message, String> {
    if !record.is_whole() {
        return Err("the name of a header is no UTF-8; that header is lost".to_owned());
    }
    let (id, content_type) = (record.value_of(ID), record.value_of(CONTENT_TYPE));
    let mut message = match id {
        Some(id) => {
            let id = MessageId::parse(text(id, || format!("header `{ID}`"))?).map_err(|error| error.to_string())?;
            Message::new(id, record.body())
        }
        None => Message::foreign(broker_id(), record.body()),
    };
    if let Some(key) = record.key() {
        let key = MessageKey::new(text(key, || "key".to_owned())?).map_err(|error| error.to_string())?;
        message = message.with_key(key);
    }
    if let Some(content_type) = content_type {
        message = message.with_content_type(text(content_type, || format!("header `{CONTENT_TYPE}`"))?.to_owned());
    }
    let mut headers = Headers::new();
    for (name, value) in record.headers() {
        if name == ID.as_bytes() || name == CONTENT_TYPE.as_bytes() {
            continue;
        }
        let name = names.name(name);
        let value = record.value(value);
        match unescaped(&name).filter(|_| id.is_some()) {
            Some(name) => headers.set(name, value),
            None => headers.set(name, value),
        }
    }
    Ok(message.with_headers(headers))
}

fn text(bytes: &[u8], what: impl Fn() -> String) -> Result<&str, String> {
    std::str::from_utf8(bytes).map_err(|error| format!("the {}: {error}", what()))
}

#[cfg(test)]
mod tests {
    use rdkafka::message::Headers as _;

    use super::*;
    use crate::record::Copier;

    fn message(body: &'static [u8]) -> Message {
        Message::new(MessageId::parse("m-1").expect("legal"), body)
    }

    fn sent_and_read(sent: &Message) -> Read {
        let wire = headers_of(sent);
        let pairs: Vec<(&str, &[u8])> =
            wire.as_borrowed().iter().map(|header| (header.key, header.value.unwrap_or_default())).collect();
        decode(sent.key().map(|key| key.as_str().as_bytes()), &pairs, sent.body())
    }

    fn decode(key: Option<&[u8]>, pairs: &[(&str, &[u8])], body: &[u8]) -> Read {
        let record = Copier::default().pack(key.unwrap_or_default(), pairs, true, body);
        let place = (3, 1_442);
        let found = read(&record, "orders", place, &mut Names::default());
        assert_eq!(unreadable(&record, "orders", place).map(|(_, fault)| fault), found.fault, "the glance agrees");
        found
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
        let read = decode(Some(b"k"), &[("~~a", b"1")], b"{}");
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
            let read = decode(key, &pairs, b"raw");
            assert!(read.fault.is_some(), "{key:?} {pairs:?}");
            assert_eq!((&read.message.body()[..], read.message.headers().count()), (&b"raw"[..], pairs.len()));
        }
    }
}
