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

    /// Reads an amount as written: digits, at most one point between them, and perhaps an exponent,
    /// as in JSON. `rust_decimal` would also take `1_000` and round the digits before an exponent.
    ///
    /// # Errors
    /// [`MoneyFault`] says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, MoneyFault> {
        let (digits, exponent) = match text.split_once(['e', 'E']) {
            Some((digits, exponent)) => (digits, exponent.parse::<i32>().map_err(|_| MoneyFault::NotANumber)?),
            None => (text, 0),
        };
        let (sign, digits) = digits.strip_prefix('-').map_or((1, digits), |digits| (-1, digits));
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
        let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !is_digits(whole) || !is_digits(fraction) {
            return Err(MoneyFault::NotANumber);
        }
        let fraction = if digits.contains('.') { fraction } else { "" };
        let decimal_count = i64::try_from(fraction.len()).unwrap_or(i64::MAX).saturating_sub(exponent.into());
        let shift = u32::try_from(2_i64.saturating_sub(decimal_count)).map_err(|_| MoneyFault::TooManyDecimals)?;
        let hundredths = format!("{whole}{fraction}").parse::<i128>().ok();
        let hundredths = hundredths.and_then(|digits| digits.checked_mul(10_i128.checked_pow(shift)?));
        let amount = hundredths.and_then(|hundredths| Decimal::try_from_i128_with_scale(sign * hundredths, 2).ok());
        amount.map(Self).ok_or(MoneyFault::NotANumber)
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
        check("-4.5E+1", "-45.00");
        check("0.000000000000000000100000000001e28", "1000000000.01");
        check("9999999999.99", "9999999999.99");
    }

    #[test]
    fn nothing_is_rounded() {
        for text in ["0.001", "1.005", "45000.000", "1e-3", "1e-2147483648", "0.0000000000000000001000000000001e28"] {
            assert_eq!(Money::parse(text), Err(MoneyFault::TooManyDecimals), "{text}");
        }
        for text in ["", "abc", "1,00", "NaN", "0x10", "1e999", "--1", "1_000", "+1", ".5", "5.", "e2", "1e", "1e1.5"] {
            assert_eq!(Money::parse(text), Err(MoneyFault::NotANumber), "{text}");
        }
    }

    #[test]
    fn products_are_exact() {
        let price = Money::parse("9999999999.99").expect("an amount");
        assert_eq!(price.times(1_000_000).to_string(), "9999999999990000.00");
    }
}
