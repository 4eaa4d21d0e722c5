//! Order numbers.

use std::fmt;

use bus::{MessageKey, Seams};
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

/// The name of an order over all services: `ORD-yyyyMMdd-HHmmss-8HEX` for our own; a foreign
/// producer's may be any legal [`MessageKey`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OrderNumber(String);

impl OrderNumber {
    /// Draws a number for now. It may collide: whoever stores it compares.
    #[must_use]
    pub fn draw(seams: &Seams, zone: &TimeZone, identity: &str) -> Self {
        let now = seams.clock.wall().to_zoned(zone.clone());
        let suffix = seams.entropy.bits("order number", identity) & 0xffff_ffff;
        Self(format!("ORD-{}-{suffix:08X}", now.strftime("%Y%m%d-%H%M%S")))
    }

    /// A number as received.
    ///
    /// # Errors
    /// When it could not be a message key.
    pub fn parse(text: &str) -> bus::Result<Self> {
        MessageKey::new(text).map(|_| Self(text.to_owned()))
    }

    /// The number as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The key that keeps this order's messages in order.
    ///
    /// # Panics
    /// Never: a number is a legal key from its construction on.
    #[must_use]
    pub fn key(&self) -> MessageKey {
        MessageKey::new(&self.0).expect("checked when the number was made")
    }
}

impl fmt::Display for OrderNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
