//! Validated names: a value of these types is legal on every backend.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use uuid::{Uuid, Variant, Version};

use crate::{Error, ErrorKind, Result};

/// Longest destination name, in bytes: the limit of an SQS queue name.
pub const DESTINATION_BYTES_MAX: usize = 80;
/// Longest message key, in bytes: the limit of an SQS message group id.
pub const KEY_BYTES_MAX: usize = 128;
/// Longest foreign message id, in bytes.
pub const MESSAGE_ID_BYTES_MAX: usize = 128;

/// Where messages are published: an SQS or AMQP queue, a Kafka topic.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Destination(Arc<str>);

impl Destination {
    /// Checks a name: 1–80 of `A–Z a–z 0–9 _ - .`, the intersection of what the brokers take, and
    /// neither `.` nor `..` (no Kafka topic, and no name of a file).
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] names the offending character or length.
    pub fn new(name: &str) -> Result<Self> {
        legal_name("destination", name, DESTINATION_BYTES_MAX)?;
        Ok(Self(name.into()))
    }

    /// The name as the broker knows it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Where this destination's dead letters are kept: `<destination>-dlq`, and for a FIFO queue
    /// `<name>-dlq.fifo`, because SQS insists on the ending.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when the longer name no longer fits.
    pub fn dead_letters(&self) -> Result<Self> {
        match self.0.strip_suffix(".fifo") {
            Some(stem) => Self::new(&format!("{stem}-dlq.fifo")),
            None => Self::new(&format!("{}-dlq", self.0)),
        }
    }
}

/// A consumer group: each group of a destination gets every message.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Group(Arc<str>);

impl Group {
    /// Checks a name by the rules of [`Destination::new`].
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] names the offending character or length.
    pub fn new(name: &str) -> Result<Self> {
        legal_name("group", name, DESTINATION_BYTES_MAX)?;
        Ok(Self(name.into()))
    }

    /// The name as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What is received from: a destination and one of its groups.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subscription {
    destination: Destination,
    group: Option<Group>,
}

impl Subscription {
    /// The default group, which is the queue of the destination's own name.
    #[must_use]
    pub fn to(destination: Destination) -> Self {
        Self { destination, group: None }
    }

    /// A further group, physically `<destination>.<group>`.
    #[must_use]
    pub fn grouped(destination: Destination, group: Group) -> Self {
        Self { destination, group: Some(group) }
    }

    /// The destination received from.
    #[must_use]
    pub fn destination(&self) -> &Destination {
        &self.destination
    }

    /// The group, `None` for the default one.
    #[must_use]
    pub fn group(&self) -> Option<&Group> {
        self.group.as_ref()
    }
}

impl fmt::Display for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.group {
            None => f.write_str(self.destination.as_str()),
            Some(group) => write!(f, "{}.{}", self.destination.as_str(), group.as_str()),
        }
    }
}

/// The ordering key: messages of one key keep their order where the bus promises order.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageKey(Arc<str>);

impl MessageKey {
    /// Checks a key: 1–128 bytes without control characters.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] says which rule was broken.
    pub fn new(key: &str) -> Result<Self> {
        legal_text("message key", key, KEY_BYTES_MAX)?;
        Ok(Self(key.into()))
    }

    /// The key as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Identifies a message over all its deliveries, resends and copies.
///
/// Our own are UUIDv7 (RFC 9562); a foreign producer's may be any short text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(Id);

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Id {
    Uuid(Uuid),
    Text(Arc<str>),
}

impl MessageId {
    /// An id of our own.
    #[must_use]
    pub fn from_uuid(uuid: Uuid) -> Self {
        Self(Id::Uuid(uuid))
    }

    /// Reads an id from a header, a body or a broker. Canonical UUIDs and other text compare equal
    /// exactly when their text is equal.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when it is empty, longer than 128 bytes or has control characters.
    pub fn parse(text: &str) -> Result<Self> {
        legal_text("message id", text, MESSAGE_ID_BYTES_MAX)?;
        match Uuid::try_parse(text) {
            Ok(uuid) if is_canonical(&uuid, text) => Ok(Self(Id::Uuid(uuid))),
            _ => Ok(Self(Id::Text(text.into()))),
        }
    }

    /// Calls `read` with the id as text, without allocating.
    pub(crate) fn with_text<T>(&self, read: impl FnOnce(&str) -> T) -> T {
        match &self.0 {
            Id::Uuid(uuid) => read(uuid.as_hyphenated().encode_lower(&mut Uuid::encode_buffer())),
            Id::Text(text) => read(text),
        }
    }

    /// When it was made by the clock of its producer, to the millisecond; `None` unless it is a
    /// UUIDv7 (RFC 9562, section 5.7).
    #[must_use]
    pub fn made_at(&self) -> Option<Timestamp> {
        let Id::Uuid(uuid) = &self.0 else { return None };
        if uuid.get_version() != Some(Version::SortRand) || uuid.get_variant() != Variant::RFC4122 {
            return None;
        }
        let milliseconds = i64::try_from(uuid.as_u128() >> 80).ok()?;
        Timestamp::from_millisecond(milliseconds).ok()
    }
}

/// Only the lower-case hyphenated form is stored as a UUID: any other spelling must print as read.
fn is_canonical(uuid: &Uuid, text: &str) -> bool {
    uuid.as_hyphenated().encode_lower(&mut Uuid::encode_buffer()) == text
}

fn legal_name(what: &str, name: &str, bytes_max: usize) -> Result<()> {
    let illegal = name.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')));
    if let Some(found) = illegal {
        return Err(Error::new(
            ErrorKind::Invalid,
            "name",
            format!("{what} `{name}` contains {found:?}; use letters, digits, `_`, `-`, `.`"),
        ));
    }
    if matches!(name, "." | "..") {
        let text = format!("{what} `{name}` is a directory to many; use a name with more than dots");
        return Err(Error::new(ErrorKind::Invalid, "name", text));
    }
    legal_text(what, name, bytes_max)
}

fn legal_text(what: &str, text: &str, bytes_max: usize) -> Result<()> {
    let fault = if text.is_empty() {
        "is empty".to_owned()
    } else if text.len() > bytes_max {
        format!("has {} bytes, at most {bytes_max} are allowed", text.len())
    } else if text.chars().any(char::is_control) {
        "contains a control character".to_owned()
    } else {
        return Ok(());
    };
    Err(Error::new(ErrorKind::Invalid, "name", format!("{what} {fault}")))
}

macro_rules! shown_as_text {
    ($($name:ident),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), &self.0)
            }
        }
    )*};
}
shown_as_text!(Destination, Group, MessageKey);

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Id::Uuid(uuid) => uuid.as_hyphenated().fmt(f),
            Id::Text(text) => f.write_str(text),
        }
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MessageId({self})")
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Subscription({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_outside_the_common_alphabet_are_refused() {
        for bad in ["", "a b", "주문", "a/b", ".", "..", &"x".repeat(81)] {
            let error = Destination::new(bad).expect_err("illegal on some broker");
            assert_eq!(error.kind(), ErrorKind::Invalid, "{bad:?}");
        }
        assert!(Destination::new("order-processing-queue.fifo").is_ok());
    }

    #[test]
    fn dead_letters_of_a_fifo_queue_stay_fifo() {
        let check = |name: &str, expected: &str| {
            let destination = Destination::new(name).expect("legal name");
            assert_eq!(destination.dead_letters().expect("fits").as_str(), expected);
        };
        check("sync-events-queue", "sync-events-queue-dlq");
        check("sync-events-queue.fifo", "sync-events-queue-dlq.fifo");
    }

    #[test]
    fn only_a_uuid_of_version_7_knows_when_it_was_made() {
        let check = |text: &str, expected: Option<&str>| {
            let made_at = MessageId::parse(text).expect("legal id").made_at();
            assert_eq!(made_at.map(|time| time.to_string()).as_deref(), expected, "{text}");
        };
        // The example of RFC 9562, appendix A.6.
        check("017f22e2-79b0-7cc3-98c4-dc0c0c07398f", Some("2022-02-22T19:22:22Z"));
        check("017f22e2-79b0-7cc3-18c4-dc0c0c07398f", None);
        check("646dc4b0-6c5e-4c02-bf76-032bdc36c3e4", None);
        check("orders/3/1442", None);
    }

    #[test]
    fn message_ids_print_exactly_as_read() {
        for text in ["646dc4b0-6c5e-4c02-bf76-032bdc36c3e4", "646DC4B0-6C5E-4C02-BF76-032BDC36C3E4", "orders/3/1442"] {
            assert_eq!(MessageId::parse(text).expect("legal id").to_string(), text);
        }
    }
}
