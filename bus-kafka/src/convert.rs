//! A message as Kafka carries it, and back.
//!
//! Body and key are the record's own. Id, content type and headers are record headers; a header that
//! has the name of one of ours, or a name Kafka's client cannot carry, is written under another.

use std::panic::{AssertUnwindSafe, catch_unwind};

use bus::{Headers, Message, MessageId, MessageKey};
use bytes::{Bytes, BytesMut};
use rdkafka::message::{BorrowedHeaders, BorrowedMessage, Header, Headers as _, Message as _, OwnedHeaders};

use crate::names::Names;

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

/// Small bodies and header values are copied into pieces of this size, several messages to one, which
/// is there as long as any of it: an allocation each, made by one thread and given back by another,
/// cost more than all other bookkeeping.
const CHUNK_BYTES: usize = 32 * 1024;

/// What reading takes along from record to record.
#[derive(Default)]
pub(crate) struct Reading {
    names: Names,
    chunk: BytesMut,
}

/// A record without its headers.
struct Bare<'a> {
    /// Names the record, for one that has no id of ours.
    place: (&'a str, i32, i64),
    key: Option<&'a [u8]>,
    body: &'a [u8],
}

impl Reading {
    /// Reads what a poll brought.
    pub(crate) fn read(&mut self, record: &BorrowedMessage<'_>) -> Read {
        let bare = Bare {
            place: (record.topic(), record.partition(), record.offset()),
            key: record.key(),
            body: record.payload().unwrap_or_default(),
        };
        match record.headers().map_or_else(|| Ok(Vec::new()), pairs_of) {
            Ok(pairs) => self.decode(&bare, &pairs),
            Err(readable) => {
                let fault = "the name of a header is no UTF-8; that header is lost".to_owned();
                Read { message: self.raw(&bare, &readable), fault: Some(fault) }
            }
        }
    }

    fn decode(&mut self, bare: &Bare<'_>, pairs: &Pairs<'_>) -> Read {
        match self.ours_or_foreign(bare, pairs) {
            Ok(message) => Read { message, fault: None },
            Err(fault) => Read { message: self.raw(bare, pairs), fault: Some(fault) },
        }
    }

    /// The record as it is, whatever its headers say.
    fn raw(&mut self, bare: &Bare<'_>, pairs: &Pairs<'_>) -> Message {
        let (body, values) = self.copy(bare.body, pairs);
        let headers: Headers = pairs.iter().zip(values).map(|((name, _), value)| ((*name).to_owned(), value)).collect();
        Message::foreign(bare.broker_id(), body).with_headers(headers)
    }

    fn ours_or_foreign(&mut self, bare: &Bare<'_>, pairs: &Pairs<'_>) -> Result<Message, String> {
        let (id, content_type) = (text_of(pairs, ID)?, text_of(pairs, CONTENT_TYPE)?);
        let (body, values) = self.copy(bare.body, pairs);
        let mut message = match id {
            Some(id) => Message::new(MessageId::parse(id).map_err(|error| error.to_string())?, body),
            None => Message::foreign(bare.broker_id(), body),
        };
        if let Some(key) = bare.key.filter(|key| !key.is_empty()) {
            let key = std::str::from_utf8(key).map_err(|error| format!("the key: {error}"))?;
            message = message.with_key(MessageKey::new(key).map_err(|error| error.to_string())?);
        }
        if let Some(content_type) = content_type {
            message = message.with_content_type(content_type.to_owned());
        }
        let mut headers = Headers::new();
        for ((name, _), value) in pairs.iter().zip(values).filter(|((name, _), _)| *name != ID && *name != CONTENT_TYPE)
        {
            match unescaped(name).filter(|_| id.is_some()) {
                Some(name) => headers.set(name, value),
                None => headers.set(self.names.name(name), value),
            }
        }
        Ok(message.with_headers(headers))
    }

    /// A body, and the values of all headers.
    fn copy<'a>(&mut self, body: &[u8], pairs: &'a Pairs<'_>) -> (Bytes, impl Iterator<Item = Bytes> + use<'a>) {
        let count = body.len() + pairs.iter().map(|(_, value)| value.len()).sum::<usize>();
        if self.chunk.capacity() < count {
            // What is large has memory of its own, and leaves the rest of the chunk to others.
            let is_large = count > CHUNK_BYTES / 8;
            let new = BytesMut::with_capacity(if is_large { count } else { CHUNK_BYTES });
            let old = std::mem::replace(&mut self.chunk, new);
            let all = self.fill(body, pairs);
            if is_large {
                self.chunk = old;
            }
            return split(all, body.len(), pairs);
        }
        split(self.fill(body, pairs), body.len(), pairs)
    }

    fn fill(&mut self, body: &[u8], pairs: &Pairs<'_>) -> Bytes {
        self.chunk.extend_from_slice(body);
        for (_, value) in pairs {
            self.chunk.extend_from_slice(value);
        }
        self.chunk.split().freeze()
    }
}

impl Bare<'_> {
    fn broker_id(&self) -> MessageId {
        let (topic, partition, offset) = self.place;
        MessageId::parse(&format!("{topic}/{partition}/{offset}"))
            .expect("a topic's name and two numbers are short and legal")
    }
}

type Pairs<'a> = Vec<(&'a str, &'a [u8])>;

/// Names and values; `Err` with those that can be read when the name of one is no UTF-8.
///
/// Such a name is against the protocol, yet no broker looks at it, and rdkafka panics when asked for
/// it: a foreign record must not end the thread that reads. In a program built with `panic = "abort"`
/// it still does.
fn pairs_of(headers: &BorrowedHeaders) -> Result<Pairs<'_>, Pairs<'_>> {
    let count = headers.count();
    let mut pairs = Vec::with_capacity(count);
    for index in 0..count {
        // Nothing is changed by the look, so nothing is left half changed.
        if let Ok(header) = catch_unwind(AssertUnwindSafe(|| headers.get(index))) {
            pairs.push((header.key, header.value.unwrap_or_default()));
        }
    }
    if pairs.len() == count { Ok(pairs) } else { Err(pairs) }
}

/// Takes apart what lies in one piece: a body, and behind it the values of headers.
fn split<'a>(all: Bytes, body_bytes: usize, pairs: &'a Pairs<'_>) -> (Bytes, impl Iterator<Item = Bytes> + use<'a>) {
    let body = all.slice(..body_bytes);
    let mut at = body_bytes;
    let values = pairs.iter().map(move |(_, value)| {
        let from = at;
        at += value.len();
        all.slice(from..at)
    });
    (body, values)
}

fn text_of<'a>(pairs: &Pairs<'a>, wanted: &str) -> Result<Option<&'a str>, String> {
    let found = pairs.iter().find(|(name, _)| *name == wanted);
    let text = found.map(|(_, value)| std::str::from_utf8(value));
    text.transpose().map_err(|error| format!("the header `{wanted}`: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(body: &'static [u8]) -> Message {
        Message::new(MessageId::parse("m-1").expect("legal"), body)
    }

    fn sent_and_read(sent: &Message) -> Read {
        let wire = headers_of(sent);
        let pairs: Pairs<'_> =
            wire.as_borrowed().iter().map(|header| (header.key, header.value.unwrap_or_default())).collect();
        decode(sent.key().map(|key| key.as_str().as_bytes()), &pairs, sent.body())
    }

    fn decode(key: Option<&[u8]>, pairs: &Pairs<'_>, body: &[u8]) -> Read {
        Reading::default().decode(&Bare { place: ("orders", 3, 1_442), key, body }, pairs)
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
        let read = decode(Some(b"k"), &vec![("~~a", b"1")], b"{}");
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
