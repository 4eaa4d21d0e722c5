//! Amounts with exactly two decimals.

use std::fmt;

use rust_decimal::Decimal;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

/// An amount of money: two decimals, never rounded.
///
/// In JSON it is written as a number with exactly two decimals and read from a number or a string,
/// digit by digit: no binary fraction comes near it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Money(Decimal);

/// Why a text is no amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MoneyFault {
    /// Not a decimal number.
    NotANumber,
    /// More than two decimals are written, even if they are zeros.
    TooManyDecimals,
}

impl Money {
    /// An amount in hundredths.
    #[must_use]
    pub fn from_hundredths(hundredths: i128) -> Self {
        // 96 bits of mantissa: enough for 10^26 units, far beyond any sum of bounded orders.
        Self(Decimal::try_from_i128_with_scale(hundredths, 2).unwrap_or(Decimal::MAX))
    }

    /// The amount in hundredths.
    #[must_use]
    pub fn hundredths(self) -> i128 {
        let mut scaled = self.0;
        scaled.rescale(2);
        scaled.mantissa()
    }

    /// Reads an amount as written.
    ///
    /// # Errors
    /// [`MoneyFault`] says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, MoneyFault> {
        let decimal = Decimal::from_str_exact(text)
            .or_else(|_| Decimal::from_scientific(text))
            .map_err(|_| MoneyFault::NotANumber)?;
        if decimal.scale() > 2 { Err(MoneyFault::TooManyDecimals) } else { Ok(Self(decimal)) }
    }

    /// This amount `quantity` times.
    #[must_use]
    pub fn times(self, quantity: u32) -> Self {
        Self::from_hundredths(self.hundredths() * i128::from(quantity))
    }
}

impl fmt::Display for MoneyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotANumber => "must be a decimal number, such as \"45000.00\"",
            Self::TooManyDecimals => "must have at most two decimals; it is never rounded",
        })
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2}", self.0)
    }
}

impl Serialize for Money {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        RawValue::from_string(self.to_string()).map_err(serde::ser::Error::custom)?.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Money {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        Self::parse(raw.get().trim_matches('"')).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_written_with_exactly_two_decimals() {
        let check = |text: &str, json: &str| {
            let money = Money::parse(text).expect("an amount");
            assert_eq!(serde_json::to_string(&money).expect("plain"), json);
            assert_eq!(serde_json::from_str::<Money>(json).expect("an amount"), money);
        };
        check("45000.00", "45000.00");
        check("45000", "45000.00");
        check("0.1", "0.10");
        check("1e3", "1000.00");
        check("9999999999.99", "9999999999.99");
    }

    #[test]
    fn nothing_is_rounded() {
        for text in ["0.001", "1.005", "45000.000", "1e-3"] {
            assert_eq!(Money::parse(text), Err(MoneyFault::TooManyDecimals), "{text}");
        }
        for text in ["", "abc", "1,00", "NaN", "0x10", "1e999", "--1"] {
            assert_eq!(Money::parse(text), Err(MoneyFault::NotANumber), "{text}");
        }
    }

    #[test]
    fn products_are_exact() {
        let price = Money::parse("9999999999.99").expect("an amount");
        assert_eq!(price.times(1_000_000).to_string(), "9999999999990000.00");
    }
}
