//! A message as RabbitMQ carries it, and back.
//!
//! The body goes as it is; the id is the property `message-id`, the content type its own property,
//! key and headers are headers. Headers whose names RabbitMQ would act on, or cannot carry, go
//! together in one.

use bus::{Headers, Message, MessageId, MessageKey};
use bytes::Bytes;
use lapin::BasicProperties;
use lapin::message::Delivery;
use lapin::types::{AMQPValue, FieldArray, FieldTable, ShortString};
use uuid::Uuid;

use crate::values::bytes_of;

/// Our own headers; a message's header of such a name is packed.
const KEY: &str = "x-message-key";
const FOREIGN: &str = "x-message-foreign";
const RECEIVED_BEFORE: &str = "x-received-before";
const PACKED_HEADERS: &str = "x-packed-headers";
/// How often a quorum queue has handed a message out and taken it back.
const DELIVERY_COUNT: &str = "x-delivery-count";

/// Names RabbitMQ reads or writes itself: extra destinations, and where a message has been.
const RESERVED: [&str; 12] = [
    KEY,
    FOREIGN,
    RECEIVED_BEFORE,
    PACKED_HEADERS,
    DELIVERY_COUNT,
    "CC",
    "BCC",
    "x-death",
    "x-first-death-exchange",
    "x-first-death-queue",
    "x-first-death-reason",
    "x-acquired-count",
];

/// Longest short string of AMQP 0-9-1, section 4.2.5.3.
const SHORT_BYTES_MAX: usize = 255;
/// Most bytes of properties and headers. They go in one frame, and RabbitMQ takes frames of 128 KiB.
pub(crate) const HEADER_BYTES_MAX: usize = 96 * 1024;
/// Persistent, AMQP 0-9-1 `delivery-mode`.
const PERSISTENT: u8 = 2;

/// What is sent beside the body. `received_before` is what a copy takes along of its receive count.
pub(crate) fn properties(message: &Message, received_before: Option<u32>) -> BasicProperties {
    let mut table = FieldTable::default();
    let mut packed = FieldArray::default();
    let mut properties = BasicProperties::default()
        .with_delivery_mode(PERSISTENT)
        .with_message_id(ShortString::from(message.id().to_string()));
    match message.content_type() {
        Some(content_type) if content_type.len() <= SHORT_BYTES_MAX => {
            properties = properties.with_content_type(content_type.into());
        }
        Some(long) => pack(&mut packed, "content-type", long.as_bytes()),
        None => {}
    }
    if let Some(key) = message.key() {
        table.insert(KEY.into(), text(key.as_str().as_bytes()));
    }
    if message.is_foreign() {
        table.insert(FOREIGN.into(), AMQPValue::Boolean(true));
    }
    if let Some(count) = received_before.filter(|count| *count > 0) {
        table.insert(RECEIVED_BEFORE.into(), AMQPValue::LongLongInt(i64::from(count)));
    }
    for (name, value) in message.headers().iter() {
        if name.len() <= SHORT_BYTES_MAX && !is_reserved(name) {
            table.insert(name.into(), text(value));
        } else {
            pack(&mut packed, name, value);
        }
    }
    if !packed.as_slice().is_empty() {
        table.insert(PACKED_HEADERS.into(), AMQPValue::FieldArray(packed));
    }
    if table.inner().is_empty() { properties } else { properties.with_headers(table) }
}

fn text(bytes: &[u8]) -> AMQPValue {
    AMQPValue::LongString(bytes.to_vec().into())
}

fn pack(packed: &mut FieldArray, name: &str, value: &[u8]) {
    packed.push(text(name.as_bytes()));
    packed.push(text(value));
}

fn is_reserved(name: &str) -> bool {
    RESERVED.iter().any(|reserved| reserved.eq_ignore_ascii_case(name)) || name == "content-type"
}

/// What came, and how often it came before.
pub(crate) struct Read {
    pub(crate) message: Message,
    /// Hand-outs before this one, as far as a quorum queue and our own copies count.
    pub(crate) received_before: u32,
}

/// The message a delivery brought.
///
/// # Errors
/// Why nothing can be made of it; the message is to be quarantined as it is.
pub(crate) fn read(delivery: &mut Delivery) -> Result<Read, String> {
    let body = Bytes::from(std::mem::take(&mut delivery.data));
    let result = message_of(&delivery.properties, &body);
    if result.is_err() {
        delivery.data = body.to_vec();
    }
    result.map(|message| Read { message, received_before: received_before(&delivery.properties) })
}

fn message_of(properties: &BasicProperties, body: &Bytes) -> Result<Message, String> {
    let table = properties.headers().as_ref().map(FieldTable::inner);
    let header = |name: &str| table.and_then(|table| table.get(name));
    let is_foreign = header(FOREIGN).is_some();
    let mut message = match properties.message_id() {
        Some(id) => {
            let id = MessageId::parse(id.as_str()).map_err(|error| format!("the property message-id: {error}"))?;
            if is_foreign { Message::foreign(id, body.clone()) } else { Message::new(id, body.clone()) }
        }
        None => Message::foreign(id_by_content(properties, body), body.clone()),
    };
    if let Some(key) = header(KEY) {
        let key = String::from_utf8(bytes_of(key).to_vec()).map_err(|_| format!("the header {KEY} is not UTF-8"))?;
        message = message.with_key(MessageKey::new(&key).map_err(|error| format!("the header {KEY}: {error}"))?);
    }
    let mut content_type = properties.content_type().as_ref().map(|text| text.as_str().to_owned());
    let mut headers = Headers::new();
    for (name, value) in table.into_iter().flatten() {
        if !is_reserved(name.as_str()) {
            headers.set(name.as_str().to_owned(), bytes_of(value));
        }
    }
    for (name, value) in others(properties) {
        headers.set(name, value.to_owned());
    }
    for (name, value) in header(PACKED_HEADERS).map(unpack).transpose()?.unwrap_or_default() {
        if name == "content-type" && content_type.is_none() {
            content_type = String::from_utf8(value.to_vec()).ok();
        } else {
            headers.set(name, value);
        }
    }
    let message = message.with_headers(headers);
    Ok(match content_type {
        Some(content_type) => message.with_content_type(content_type),
        None => message,
    })
}

/// Properties of foreign producers that have no place of their own in a message.
fn others(properties: &BasicProperties) -> impl Iterator<Item = (&'static str, &str)> {
    let named = [
        ("amqp-content-encoding", properties.content_encoding()),
        ("amqp-correlation-id", properties.correlation_id()),
        ("amqp-reply-to", properties.reply_to()),
        ("amqp-type", properties.kind()),
        ("amqp-app-id", properties.app_id()),
    ];
    named.into_iter().filter_map(|(name, value)| value.as_ref().map(|value| (name, value.as_str())))
}

fn unpack(packed: &AMQPValue) -> Result<Vec<(String, Bytes)>, String> {
    let AMQPValue::FieldArray(packed) = packed else { return Err(format!("the header {PACKED_HEADERS} is no array")) };
    let pairs = packed.as_slice().chunks(2).map(|pair| match pair {
        [name, value] => {
            let name = String::from_utf8(bytes_of(name).to_vec());
            Ok((name.map_err(|_| format!("a name in {PACKED_HEADERS} is not UTF-8"))?, bytes_of(value)))
        }
        _ => Err(format!("the header {PACKED_HEADERS} has a name without a value")),
    });
    pairs.collect()
}

/// RabbitMQ names no messages, and an id must be the same whenever one comes again. So a message
/// without an id is known by its content (UUIDv5): bytes that are equal in everything are one message.
fn id_by_content(properties: &BasicProperties, body: &Bytes) -> MessageId {
    let mut content = body.to_vec();
    for property in [properties.content_type(), properties.correlation_id(), properties.kind()] {
        content.extend(property.iter().flat_map(|text| [0].into_iter().chain(text.as_str().bytes())));
    }
    content.extend(properties.timestamp().iter().flat_map(|timestamp| timestamp.to_be_bytes()));
    for (name, value) in properties.headers().iter().flat_map(FieldTable::inner) {
        if !is_reserved(name.as_str()) {
            content.extend(name.as_str().bytes().chain([0]).chain(bytes_of(value)));
        }
    }
    MessageId::from_uuid(Uuid::new_v5(&Uuid::NAMESPACE_OID, &content))
}

fn received_before(properties: &BasicProperties) -> u32 {
    let count = |name: &str| {
        let table = properties.headers().as_ref()?;
        std::str::from_utf8(&bytes_of(table.inner().get(name)?)).ok()?.parse().ok()
    };
    count(DELIVERY_COUNT).unwrap_or(0_u32).saturating_add(count(RECEIVED_BEFORE).unwrap_or(0))
}

/// What nothing could be made of, as it is: the raw body, every header that has a legal value.
pub(crate) fn raw(delivery: &Delivery) -> Message {
    let body = Bytes::from(delivery.data.clone());
    let mut message = Message::foreign(id_by_content(&delivery.properties, &body), body);
    for (name, value) in delivery.properties.headers().iter().flat_map(FieldTable::inner) {
        if !is_reserved(name.as_str()) {
            message.headers_mut().set(name.as_str().to_owned(), bytes_of(value));
        }
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivered(properties: BasicProperties, body: &[u8]) -> Delivery {
        let mut delivery = Delivery::mock(1, "".into(), "orders".into(), false, body.to_vec());
        delivery.properties = properties;
        delivery
    }

    fn message(body: &[u8]) -> Message {
        Message::new(MessageId::parse("m-1").expect("legal"), body.to_vec())
    }

    fn read_back(properties: BasicProperties, body: &[u8]) -> Message {
        read(&mut delivered(properties, body)).map(|read| read.message).expect("readable")
    }

    #[test]
    fn every_message_reads_back_as_it_was_sent() {
        let long = "n".repeat(300);
        let odd: Headers = [
            ("주문", &b"\xff\x00"[..]),
            ("", b""),
            ("x-message-key", b"spoof"),
            ("CC", b"elsewhere"),
            ("x-death", b"2"),
            ("X-Death", b"3"),
            (&long, b"long name"),
            ("plain", b"2"),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
        for headers in [Headers::new(), odd] {
            for content_type in ["application/json", "", &"t".repeat(300)] {
                for body in [&b"{}"[..], b"", b"\xff\xfe"] {
                    let sent = message(body)
                        .with_headers(headers.clone())
                        .with_key(MessageKey::new("ORD-1").expect("legal"))
                        .with_content_type(content_type.to_owned());
                    let read = read_back(properties(&sent, Some(3)), body);
                    let sorted = |message: &Message| -> std::collections::BTreeMap<String, Bytes> {
                        message.headers().iter().map(|(name, value)| (name.to_owned(), value.clone())).collect()
                    };
                    assert_eq!((read.id(), read.key(), read.body()), (sent.id(), sent.key(), sent.body()));
                    assert_eq!((read.content_type(), sorted(&read)), (sent.content_type(), sorted(&sent)));
                    assert!(!read.is_foreign());
                }
            }
        }
    }

    #[test]
    fn a_foreign_message_is_known_by_its_content_however_often_it_comes() {
        let plain = read_back(BasicProperties::default(), b"{}");
        assert!(plain.is_foreign());
        let mut seen = FieldTable::default();
        seen.insert(DELIVERY_COUNT.into(), AMQPValue::LongLongInt(4));
        seen.insert("x-death".into(), AMQPValue::FieldArray(FieldArray::default()));
        let again = read_back(BasicProperties::default().with_headers(seen), b"{}");
        assert_eq!(again.id(), plain.id());
        let other = read_back(BasicProperties::default().with_timestamp(1), b"{}");
        assert_ne!(other.id(), plain.id());
        let copied = read_back(properties(&plain, None), b"{}");
        assert_eq!((copied.id(), copied.is_foreign()), (plain.id(), true), "also in the dead letters");
    }

    #[test]
    fn the_receive_count_goes_along_with_a_copy() {
        let mut delivery = delivered(properties(&message(b""), Some(3)), b"");
        let mut table = delivery.properties.headers().clone().unwrap_or_default();
        table.insert(DELIVERY_COUNT.into(), AMQPValue::LongLongInt(2));
        delivery.properties = delivery.properties.clone().with_headers(table);
        assert_eq!(read(&mut delivery).expect("readable").received_before, 5);
    }

    #[test]
    fn what_cannot_be_read_says_why_and_keeps_its_bytes() {
        let header = |name: &str, value| {
            let mut table = FieldTable::default();
            table.insert(name.into(), value);
            BasicProperties::default().with_headers(table)
        };
        for (properties, hint) in [
            (BasicProperties::default().with_message_id("\u{1}".into()), "message-id"),
            (header(KEY, text(b"\xff")), KEY),
            (header(KEY, text(b"")), KEY),
            (header(PACKED_HEADERS, text(b"")), "no array"),
        ] {
            let mut delivery = delivered(properties, b"raw");
            let why = read(&mut delivery).err().expect("unreadable");
            assert!(why.contains(hint), "{why}");
            assert_eq!(raw(&delivery).body(), &Bytes::from_static(b"raw"));
        }
    }
}
