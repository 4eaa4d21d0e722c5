//! Messages as they come, also from foreign producers: what must be there, what may.

use std::fmt;

use bus::pipeline::Identity;
use bus::{Message, MessageId, MessageKey};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::domain::{CUSTOMER_AND_PRODUCT_CHARS_MAX, Money, OrderNumber, PRICE_MAX, PRICE_MIN};

/// Why a message cannot be read. It is invalid: no retry would help.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault(String);

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An order to process. Only number, product, quantity and price are required; unknown fields are
/// ignored, and a strange value in an optional field is no field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IncomingOrder {
    /// The order's name.
    pub order_number: OrderNumber,
    /// Who orders, where it is said.
    pub customer_name: String,
    /// What is ordered.
    pub product_name: String,
    /// How many units, at least one.
    pub quantity: u32,
    /// Price of one unit.
    pub price: Money,
    /// The order's version, where it is said.
    pub version: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawOrder<'a> {
    order_number: String,
    product_name: String,
    quantity: u32,
    #[serde(borrow)]
    price: &'a RawValue,
    #[serde(default)]
    customer_name: Option<Value>,
    #[serde(default)]
    version: Option<Value>,
}

impl IncomingOrder {
    /// Reads a message body.
    ///
    /// # Errors
    /// [`Fault`] names the field or the place in the text.
    pub fn read(body: &[u8]) -> Result<Self, Fault> {
        let raw: RawOrder<'_> = object(body).map_err(|error| Fault(format!("not an order: {error}")))?;
        let order_number =
            OrderNumber::parse(&raw.order_number).map_err(|error| Fault(format!("orderNumber: {error}")))?;
        let price = Money::parse(raw.price.get().trim_matches('"')).map_err(|fault| Fault(format!("price {fault}")))?;
        if !(PRICE_MIN..=PRICE_MAX).contains(&price.hundredths()) {
            return Err(Fault("price must be from 0.01 to 9999999999.99".to_owned()));
        }
        if raw.quantity == 0 {
            return Err(Fault("quantity must be at least 1".to_owned()));
        }
        Ok(Self {
            order_number,
            customer_name: short("customerName", raw.customer_name.and_then(text).unwrap_or_default())?,
            product_name: short("productName", raw.product_name)?,
            quantity: raw.quantity,
            price,
            version: raw.version.and_then(|version| version.as_u64()),
        })
    }
}

/// A name no longer than our own: it becomes part of a key in the books.
fn short(field: &str, name: String) -> Result<String, Fault> {
    match name.chars().count() {
        count if count > CUSTOMER_AND_PRODUCT_CHARS_MAX => {
            Err(Fault(format!("{field} has {count} characters; at most {CUSTOMER_AND_PRODUCT_CHARS_MAX} are allowed")))
        }
        _ => Ok(name),
    }
}

/// A sync event. Only type and key are required.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IncomingEvent {
    /// The event's name, known or not.
    pub event_type: String,
    /// The order's name.
    pub entity_key: String,
}

impl IncomingEvent {
    /// Reads a message body.
    ///
    /// # Errors
    /// [`Fault`] names the field or the place in the text.
    pub fn read(body: &[u8]) -> Result<Self, Fault> {
        object(body).map_err(|error| Fault(format!("not a sync event: {error}")))
    }
}

/// A JSON object; serde would also take a list, with the fields in the order of their declaration.
fn object<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, String> {
    match body.trim_ascii_start().first() {
        Some(b'{') => serde_json::from_slice(body).map_err(|error| error.to_string()),
        _ => Err("not a JSON object".to_owned()),
    }
}

/// Id and key of an order message: of a foreign one as far as its body tells.
#[must_use]
pub fn identify_order(message: &Message) -> Identity {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Hints {
        message_id: Option<Value>,
        order_number: Option<Value>,
    }
    identify(message, |hints: Hints| (hints.message_id, hints.order_number))
}

/// Id and key of a sync event: of a foreign one as far as its body tells.
#[must_use]
pub fn identify_event(message: &Message) -> Identity {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Hints {
        message_id: Option<Value>,
        entity_key: Option<Value>,
    }
    identify(message, |hints: Hints| (hints.message_id, hints.entity_key))
}

fn identify<H: DeserializeOwned>(message: &Message, read: impl Fn(H) -> (Option<Value>, Option<Value>)) -> Identity {
    // Our own messages say both in their headers: the body need not be read twice.
    if !message.is_foreign() && message.key().is_some() {
        return Identity::default();
    }
    let Ok(hints) = serde_json::from_slice(message.body()) else { return Identity::default() };
    let (message_id, key) = read(hints);
    let message_id = message_id.and_then(text).and_then(|id| MessageId::parse(&id).ok());
    Identity {
        message_id: if message.is_foreign() { message_id } else { None },
        key: if message.key().is_none() { key.and_then(text).and_then(|key| MessageKey::new(&key).ok()) } else { None },
    }
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_order_needs_four_fields_and_may_have_any_others() {
        let body = r#"{"orderNumber":"X-1","productName":"p","quantity":2,"price":"10.50","id":"seven","version":"old","x":[]}"#;
        let order = IncomingOrder::read(body.as_bytes()).expect("readable");
        assert_eq!((order.price.to_string().as_str(), order.version), ("10.50", None));
    }

    #[test]
    fn a_name_too_long_for_the_books_is_invalid_and_not_an_outage() {
        let named = |chars: usize| {
            let name = "가".repeat(chars);
            IncomingOrder::read(
                format!(r#"{{"orderNumber":"X","productName":"{name}","quantity":1,"price":1}}"#).as_bytes(),
            )
        };
        assert!(named(200).is_ok());
        assert!(named(201).is_err());
    }

    #[test]
    fn what_cannot_be_processed_is_invalid() {
        for body in [
            "",
            "{",
            "[]",
            r#"["X","p",1,"1.00"]"#,
            r#"{"orderNumber":"","productName":"p","quantity":1,"price":1}"#,
            r#"{"orderNumber":"X","productName":"p","quantity":0,"price":1}"#,
            r#"{"orderNumber":"X","productName":"p","quantity":-1,"price":1}"#,
            r#"{"orderNumber":"X","productName":"p","quantity":1,"price":0}"#,
            r#"{"orderNumber":"X","productName":"p","quantity":1,"price":1.005}"#,
            r#"{"orderNumber":"X","productName":"p","quantity":1,"price":{}}"#,
        ] {
            assert!(IncomingOrder::read(body.as_bytes()).is_err(), "{body}");
        }
    }

    #[test]
    fn a_foreign_message_is_identified_by_its_body() {
        let id = MessageId::parse("broker-1").expect("an id");
        let body = &br#"{"eventType":"ORDER_UPDATED","entityKey":"X-1","messageId":"m-1"}"#[..];
        let identity = identify_event(&Message::foreign(id.clone(), body));
        assert_eq!(identity.message_id, MessageId::parse("m-1").ok());
        assert_eq!(identity.key, MessageKey::new("X-1").ok());
        assert_eq!(identify_event(&Message::foreign(id, &b"{"[..])), Identity::default());
    }
}
