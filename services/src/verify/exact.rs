//! Numbers as they stand in JSON.

use std::fmt;

use rust_decimal::Decimal;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// A JSON number, or a string that holds one, read digit by digit: it never was a binary fraction.
///
/// Two are equal when their values are: `45000`, `45000.00` and `"45000.0"` are the same amount. What
/// is no decimal number is kept as written, so that a nonsensical value is a difference, not an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exact {
    /// A decimal number.
    Number(Decimal),
    /// Anything else.
    Text(Box<str>),
}

impl Exact {
    /// Reads a number as written.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let number = Decimal::from_str_exact(text).or_else(|_| Decimal::from_scientific(text));
        number.map_or_else(|_| Self::Text(text.into()), Self::Number)
    }

    /// The value, if it is a number.
    #[must_use]
    pub fn number(&self) -> Option<Decimal> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Text(_) => None,
        }
    }

    /// The sum of all, `None` when one is no number or the sum is out of range.
    #[must_use]
    pub fn sum<'a>(parts: impl IntoIterator<Item = &'a Self>) -> Option<Decimal> {
        parts.into_iter().try_fold(Decimal::ZERO, |sum, part| sum.checked_add(part.number()?))
    }
}

impl fmt::Display for Exact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => f.write_str(text),
        }
    }
}

impl<'de> Deserialize<'de> for Exact {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        Ok(Self::parse(raw.get().trim_matches('"')))
    }
}

#[cfg(test)]
mod tests {
    use super::Exact;

    fn read(json: &str) -> Exact {
        serde_json::from_str(json).expect("JSON")
    }

    #[test]
    fn equal_means_equal_in_value() {
        for json in ["45000", "45000.00", "\"45000.0\"", "4.5e4"] {
            assert_eq!(read(json), read("45000.000"), "{json}");
        }
        assert_ne!(read("45000.01"), read("45000.00"));
        // As binary fractions these two would be the same.
        assert_ne!(read("9007199254740993"), read("9007199254740992"));
    }

    #[test]
    fn what_is_no_number_is_kept_as_written() {
        for json in ["true", "1e999", "[1]"] {
            assert_eq!(read(json).to_string(), json);
            assert_eq!(read(json).number(), None);
        }
    }
}
