//! A message as SQS carries it, and back.
//!
//! The body goes as it is; id, key, content type and headers are message attributes. SQS takes ten
//! of them with names of a small alphabet and text values, so headers beyond that are packed into
//! one. A body SQS does not take, empty or not legal in XML 1.0, goes as base64 and says so.

use std::collections::BTreeMap;

use aws_sdk_sqs::types::{Message as Received, MessageAttributeValue, MessageSystemAttributeName};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bus::{Error, ErrorKind, Headers, Message, MessageId, MessageKey, Result, dead_letter};
use bytes::Bytes;

/// Our own attributes; a header of such a name is packed.
const ID: &str = "x-message-id";
const KEY: &str = "x-message-key";
const CONTENT_TYPE: &str = "content-type";
const BODY_ENCODING: &str = "x-body-encoding";
const PACKED_HEADERS: &str = "x-packed-headers";

/// Most attributes of a message (SQS quotas).
const ATTRIBUTE_COUNT_MAX: usize = 10;

/// A message ready to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Wire {
    pub(crate) body: String,
    pub(crate) attributes: BTreeMap<String, String>,
    /// What counts against the limits: the body and every attribute's name, type and value.
    pub(crate) bytes: usize,
}

pub(crate) fn to_wire(message: &Message) -> Wire {
    let mut attributes = BTreeMap::new();
    attributes.insert(ID.to_owned(), message.id().to_string());
    if let Some(key) = message.key() {
        attributes.insert(KEY.to_owned(), key.as_str().to_owned());
    }
    let mut packed: Vec<(&str, String)> = Vec::new();
    match message.content_type() {
        Some(content_type) if is_sendable(content_type) => {
            attributes.insert(CONTENT_TYPE.to_owned(), content_type.to_owned());
        }
        Some(odd) => packed.push((CONTENT_TYPE, BASE64.encode(odd))),
        None => {}
    }
    let body = match std::str::from_utf8(message.body()) {
        Ok(text) if is_sendable(text) => text.to_owned(),
        _ => {
            attributes.insert(BODY_ENCODING.to_owned(), "base64".to_owned());
            // An empty body encodes to nothing, which SQS refuses; a space decodes to nothing as well.
            Some(BASE64.encode(message.body())).filter(|text| !text.is_empty()).unwrap_or_else(|| " ".to_owned())
        }
    };
    // One place is kept for what has to be packed.
    let room = ATTRIBUTE_COUNT_MAX - 1 - attributes.len();
    let is_plain = |name: &str, value: &Bytes| is_legal_name(name) && std::str::from_utf8(value).is_ok_and(is_sendable);
    let plain_count = message.headers().iter().filter(|(name, value)| is_plain(name, value)).count();
    let mut left = if plain_count == message.headers().count() && packed.is_empty() { room + 1 } else { room };
    if plain_count > left {
        left = room;
    }
    for (name, value) in message.headers().iter() {
        match std::str::from_utf8(value) {
            Ok(text) if left > 0 && is_plain(name, value) => {
                attributes.insert(name.to_owned(), text.to_owned());
                left -= 1;
            }
            _ => packed.push((name, BASE64.encode(value))),
        }
    }
    if !packed.is_empty() {
        attributes.insert(PACKED_HEADERS.to_owned(), serde_json::json!(packed).to_string());
    }
    Wire { bytes: body.len() + attribute_bytes(&attributes), body, attributes }
}

/// The message as it was received: without the marks of a rejection, and a foreign one without our
/// id. What does not fit even so, because attributes we cannot name have to be packed, goes alone.
pub(crate) fn to_bare_wire(message: &Message, bytes_max: usize) -> Wire {
    let mut bare = message.clone();
    for name in [dead_letter::REASON, dead_letter::DESTINATION, dead_letter::RECEIVE_COUNT, dead_letter::AT] {
        bare.headers_mut().remove(name);
    }
    let mut wire = to_wire(&bare);
    if message.is_foreign() {
        wire.attributes.remove(ID);
        wire.bytes = wire.body.len() + attribute_bytes(&wire.attributes);
    }
    if message.is_foreign() && wire.bytes > bytes_max {
        // What is needed to read the body stays.
        wire.attributes.retain(|name, _| name == BODY_ENCODING);
        wire.bytes = wire.body.len() + attribute_bytes(&wire.attributes);
    }
    wire
}

fn attribute_bytes(attributes: &BTreeMap<String, String>) -> usize {
    attributes.iter().map(|(name, value)| name.len() + "String".len() + value.len()).sum()
}

/// What the SDK takes.
///
/// # Errors
/// Never: the one thing the builder asks for, the data type, is set.
pub(crate) fn attribute(value: &str) -> Result<MessageAttributeValue> {
    MessageAttributeValue::builder().data_type("String").string_value(value).build().map_err(|error| {
        Error::new(ErrorKind::Unexpected, "publish", "an attribute could not be made").caused_by(error.to_string())
    })
}

/// The message a receive brought.
///
/// # Errors
/// Why nothing can be made of it; the message is to be quarantined as it is.
pub(crate) fn from_wire(received: &Received) -> Result<Message, String> {
    let mut texts: BTreeMap<&str, &MessageAttributeValue> = BTreeMap::new();
    texts.extend(received.message_attributes().into_iter().flatten().map(|(name, value)| (name.as_str(), value)));
    let mut take = |name: &str| texts.remove(name).and_then(|value| value.string_value());
    let body = received.body().unwrap_or_default();
    let body = match take(BODY_ENCODING) {
        None => Bytes::copy_from_slice(body.as_bytes()),
        Some("base64") => Bytes::from(BASE64.decode(body.trim()).map_err(|error| format!("the body: {error}"))?),
        Some(other) => return Err(format!("the body is encoded as `{other}`, which is unknown here")),
    };
    let broker_id = received.message_id().unwrap_or("unnamed");
    let mut message = match take(ID) {
        Some(id) => Message::new(MessageId::parse(id).map_err(|error| error.to_string())?, body),
        None => Message::foreign(MessageId::parse(broker_id).map_err(|error| error.to_string())?, body),
    };
    let is_ours = !message.is_foreign();
    let group =
        received.attributes().and_then(|attributes| attributes.get(&MessageSystemAttributeName::MessageGroupId));
    // Our messages without a key are in a group of their own, which is no key.
    if let Some(key) = take(KEY).or(group.map(String::as_str).filter(|_| !is_ours)) {
        message = message.with_key(MessageKey::new(key).map_err(|error| error.to_string())?);
    }
    let mut content_type = take(CONTENT_TYPE).map(str::to_owned);
    let packed = take(PACKED_HEADERS).map(unpack).transpose()?.unwrap_or_default();
    let mut headers = Headers::new();
    for (name, value) in texts {
        headers.set(name.to_owned(), bytes_of(value));
    }
    for (name, value) in packed {
        match name.as_str() {
            CONTENT_TYPE if content_type.is_none() && std::str::from_utf8(&value).is_ok() => {
                content_type = String::from_utf8(value).ok();
            }
            _ => headers.set(name, value),
        }
    }
    message = message.with_headers(headers);
    Ok(match content_type {
        Some(content_type) => message.with_content_type(content_type),
        None => message,
    })
}

/// What nothing could be made of, as it is: the raw body, every attribute a header.
pub(crate) fn raw(received: &Received) -> Message {
    let id = received.message_id().and_then(|id| MessageId::parse(id).ok());
    let id = id.unwrap_or_else(|| MessageId::parse("unnamed").expect("a legal id"));
    let mut attributes: BTreeMap<&String, &MessageAttributeValue> = BTreeMap::new();
    attributes.extend(received.message_attributes().into_iter().flatten());
    let headers = attributes.into_iter().map(|(name, value)| (name.clone(), bytes_of(value))).collect();
    Message::foreign(id, received.body().unwrap_or_default().to_owned()).with_headers(headers)
}

fn bytes_of(value: &MessageAttributeValue) -> Bytes {
    let text = value.string_value().map(|text| Bytes::copy_from_slice(text.as_bytes()));
    text.or_else(|| value.binary_value().map(|blob| Bytes::copy_from_slice(blob.as_ref()))).unwrap_or_default()
}

fn unpack(text: &str) -> Result<Vec<(String, Vec<u8>)>, String> {
    let pairs: Vec<(String, String)> =
        serde_json::from_str(text).map_err(|error| format!("the packed headers: {error}"))?;
    let decoded = pairs.into_iter().map(|(name, value)| match BASE64.decode(value) {
        Ok(value) => Ok((name, value)),
        Err(error) => Err(format!("the packed header `{name}`: {error}")),
    });
    decoded.collect()
}

/// Not empty, and legal in XML 1.0 (section 2.2, Char).
fn is_sendable(text: &str) -> bool {
    let is_legal =
        |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
    !text.is_empty() && text.chars().all(is_legal)
}

/// SQS developer guide, "Message attribute components": letters, digits, `_`, `-`, `.`; no period at
/// either end or next to another; not beginning with AWS. or Amazon.; at most 256 characters.
fn is_legal_name(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let is_ours = [ID, KEY, CONTENT_TYPE, BODY_ENCODING, PACKED_HEADERS].contains(&lower.as_str());
    !is_ours
        && (1..=256).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
        && !name.starts_with('.')
        && !name.ends_with('.')
        && !name.contains("..")
        && !lower.starts_with("aws.")
        && !lower.starts_with("amazon.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(wire: &Wire) -> Received {
        let mut builder = Received::builder().message_id("broker").body(&wire.body);
        for (name, value) in &wire.attributes {
            builder = builder.message_attributes(name, attribute(value).expect("built"));
        }
        builder.build()
    }

    fn message(body: &[u8]) -> Message {
        Message::new(MessageId::parse("m-1").expect("legal"), body.to_vec())
    }

    #[test]
    fn every_message_reads_back_as_it_was_sent() {
        let many: Headers = (0..20).map(|number| (format!("h{number}"), number.to_string())).collect();
        let ten: Headers = (0..8).map(|number| (format!("h{number}"), "v")).collect();
        let odd: Headers =
            [("주문", &b"\xff\x00"[..]), ("", b""), ("x-message-id", b"spoof"), ("a..b", b"1"), ("plain", b"2")]
                .into_iter()
                .collect();
        for headers in [Headers::new(), many, ten, odd] {
            for body in [&b"{}"[..], b"", b"\xff\xfe", "\u{b}".as_bytes(), "주문".as_bytes()] {
                let sent = message(body)
                    .with_headers(headers.clone())
                    .with_key(MessageKey::new("ORD-1").expect("legal"))
                    .with_content_type("application/json");
                let wire = to_wire(&sent);
                assert!(wire.attributes.len() <= ATTRIBUTE_COUNT_MAX, "{:?}", wire.attributes);
                let read = from_wire(&received(&wire)).expect("readable");
                let sorted = |message: &Message| -> BTreeMap<String, Vec<u8>> {
                    message.headers().iter().map(|(name, value)| (name.to_owned(), value.to_vec())).collect()
                };
                assert_eq!((read.id(), read.key(), read.body()), (sent.id(), sent.key(), sent.body()));
                assert_eq!((read.content_type(), sorted(&read)), (sent.content_type(), sorted(&sent)));
            }
        }
    }

    #[test]
    fn a_foreign_message_has_the_brokers_id() {
        let plain = Received::builder().message_id("646dc4b0").body("{}").build();
        let read = from_wire(&plain).expect("readable");
        assert!(read.is_foreign());
        assert_eq!(read.id().to_string(), "646dc4b0");
    }

    #[test]
    fn what_cannot_be_read_says_why() {
        for (name, value) in [(BODY_ENCODING, "rot13"), (PACKED_HEADERS, "{"), (BODY_ENCODING, "base64")] {
            let odd = Received::builder()
                .message_id("1")
                .body("not base64!")
                .message_attributes(name, attribute(value).expect("built"))
                .build();
            from_wire(&odd).expect_err("unreadable");
        }
    }
}
