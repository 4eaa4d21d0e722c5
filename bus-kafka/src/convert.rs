//! A message as Kafka carries it, and back.
//!
//! Body and key are the record's own. Id, content type and headers are record headers; a header that
//! has the name of one of ours, or a name Kafka's client cannot carry, is written under another.

use bus::name::{KEY_BYTES_MAX, MESSAGE_ID_BYTES_MAX};
use bus::{Headers, Message, MessageId, MessageKey};
use rdkafka::message::{Header, OwnedHeaders};

use crate::hand::Place;
use crate::label::Labels;
use crate::names::Names;
use crate::record::Record;

/// Our own headers.
const ID: &str = "x-message-id";
const CONTENT_TYPE: &str = "content-type";
/// In front of a name that is one of ours, or begins like this.
const ESCAPE: char = '~';
/// In front of the hexadecimal bytes of a name with a NUL in it: librdkafka's names end there.
const HEXED: &str = "~x";

/// How many record headers a message has, at most.
pub(crate) fn header_count(message: &Message) -> usize {
    message.headers().count() + 2
}

/// Adds the record headers of a message.
pub(crate) fn add_headers(mut wire: OwnedHeaders, message: &Message) -> OwnedHeaders {
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

/// The id in a record, where there is one.
pub(crate) fn id_text(record: &Record) -> Option<String> {
    record.value_of(ID).map(|id| String::from_utf8_lossy(id).into_owned())
}

/// Where a record was read.
pub(crate) struct Origin<'a> {
    pub(crate) topic: &'a str,
    pub(crate) place: Place,
    /// Labels may be in front of its headers: it is a topic of ours.
    pub(crate) is_labelled: bool,
}

impl Origin<'_> {
    /// The id of a message that has none of ours.
    pub(crate) fn id(&self) -> MessageId {
        let id = MessageId::parse(&format!("{}/{}/{}", self.topic, self.place.0.number, self.place.1));
        id.expect("a topic's name and two numbers are short and legal")
    }
}

/// A record, read or not.
pub(crate) struct Read {
    pub(crate) message: Message,
    /// Why nothing can be made of it; then the message is the raw one.
    pub(crate) fault: Option<String>,
}

/// What cannot be read, raw and with the reason. Most records are told by a glance to be legal.
pub(crate) fn unreadable(record: &Record, origin: &Origin<'_>) -> Option<(Message, String)> {
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
    let Read { message, fault } = read(record, origin, &mut Names::default());
    fault.map(|fault| (message, fault))
}

/// Reads a record. Its place, or where it was read first, names one that has no id of ours.
pub(crate) fn read(record: &Record, origin: &Origin<'_>, names: &mut Names) -> Read {
    let labels = if origin.is_labelled { Labels::of(record) } else { Labels::default() };
    let label_count = labels.count();
    let broker_id = || labels.retry.as_ref().and_then(|retry| retry.foreign_id.clone()).unwrap_or_else(|| origin.id());
    match ours_or_foreign(record, label_count, broker_id, names) {
        Ok(message) => Read { message, fault: None },
        Err(fault) => Read { message: as_it_is(record, label_count, broker_id()), fault: Some(fault) },
    }
}

/// What nothing can be made of.
pub(crate) fn raw(record: &Record, origin: &Origin<'_>) -> Message {
    as_it_is(record, 0, origin.id())
}

fn as_it_is(record: &Record, label_count: usize, id: MessageId) -> Message {
    let text = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
    let headers = record.headers().skip(label_count).map(|(name, value)| (text(name), record.value(value)));
    Message::foreign(id, record.body()).with_headers(headers.collect())
}

fn ours_or_foreign(
    record: &Record,
    label_count: usize,
    broker_id: impl Fn() -> MessageId,
    names: &mut Names,
) -> Result<Message, String> {
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
    for (name, value) in record.headers().skip(label_count) {
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
    use crate::hand::Partition;
    use crate::record::Copier;

    fn message(body: &'static [u8]) -> Message {
        Message::new(MessageId::parse("m-1").expect("legal"), body)
    }

    fn sent_and_read(sent: &Message) -> Read {
        let wire = add_headers(OwnedHeaders::new(), sent);
        let pairs: Vec<(&str, &[u8])> =
            wire.as_borrowed().iter().map(|header| (header.key, header.value.unwrap_or_default())).collect();
        decode(sent.key().map(|key| key.as_str().as_bytes()), &pairs, sent.body())
    }

    fn decode(key: Option<&[u8]>, pairs: &[(&str, &[u8])], body: &[u8]) -> Read {
        let record = Copier::default().pack(key.unwrap_or_default(), pairs, true, body);
        let place = (Partition { topic: 0, number: 3 }, 1_442);
        let origin = Origin { topic: "orders", place, is_labelled: false };
        let found = read(&record, &origin, &mut Names::default());
        assert_eq!(unreadable(&record, &origin).map(|(_, fault)| fault), found.fault, "the glance agrees");
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
