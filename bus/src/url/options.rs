//! Reading the options of a URL: the same forms and the same errors on every backend.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::BusUrl;
use crate::{Error, ErrorKind, Result};

impl BusUrl {
    /// The value of an option as `read` understands it, `default` when it is not given. `read` answers
    /// what would be legal, in words that follow "use".
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] names the option, its value and what to use instead.
    pub fn read<T>(
        &self,
        name: &str,
        default: T,
        read: impl FnOnce(&str) -> std::result::Result<T, String>,
    ) -> Result<T> {
        let Some(text) = self.option(name) else { return Ok(default) };
        read(text).map_err(|legal| {
            Error::new(ErrorKind::Invalid, "bus url", format!("option `{name}` is `{text}`; use {legal}"))
        })
    }

    /// A switch: `on` or `off`.
    ///
    /// # Errors
    /// As for [`read`](Self::read).
    pub fn switch(&self, name: &str, default: bool) -> Result<bool> {
        self.read(name, default, |text| match text {
            "on" => Ok(true),
            "off" => Ok(false),
            _ => Err("`on` or `off`".to_owned()),
        })
    }

    /// A whole number within `legal`.
    ///
    /// # Errors
    /// As for [`read`](Self::read).
    pub fn number(&self, name: &str, default: usize, legal: RangeInclusive<usize>) -> Result<usize> {
        self.read(name, default, |text| {
            let number = text.parse().ok().filter(|number| legal.contains(number));
            number.ok_or_else(|| format!("a whole number from {} to {}", legal.start(), legal.end()))
        })
    }
}

/// A span of time as options write it: a whole number with its unit, `500ms`, `30s`, `5m`, `12h`, `15d`.
/// `None` for anything else.
#[must_use]
pub fn span(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let milliseconds_per_unit: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(milliseconds_per_unit).map(Duration::from_millis)
}

/// Whether what goes to `host` stays on this machine: `localhost`, or a loopback address, an IPv6 one
/// with or without its brackets. Other names are not looked up.
#[must_use]
pub fn is_loopback(host: &str) -> bool {
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_or_say_what_is_legal() {
        let url = BusUrl::parse("memory://?a=on&b=maybe&c=7&d=0&e=seven").expect("a URL");
        assert_eq!((url.switch("a", false).expect("on"), url.switch("z", true).expect("its default")), (true, true));
        assert_eq!((url.number("c", 1, 1..=9).expect("7"), url.number("z", 3, 1..=9).expect("its default")), (7, 3));
        let says = |error: Error, hint: &str| {
            assert_eq!(error.kind(), ErrorKind::Invalid);
            assert!(error.to_string().contains(hint), "{error}");
        };
        says(url.switch("b", true).expect_err("neither"), "option `b` is `maybe`; use `on` or `off`");
        for name in ["d", "e"] {
            says(url.number(name, 1, 1..=9).expect_err(name), "use a whole number from 1 to 9");
        }
    }

    #[test]
    fn spans_have_a_whole_number_and_a_unit() {
        let seconds = |text| span(text).map(|span| span.as_millis());
        for (text, milliseconds) in
            [("500ms", 500), ("0s", 0), ("5m", 300_000), ("12h", 43_200_000), ("1d", 86_400_000)]
        {
            assert_eq!(seconds(text), Some(milliseconds), "{text}");
        }
        for text in ["", "30", "s", "1.5s", "-1s", "30 s", "1w", "99999999999999999999d", "18446744073709551615d"] {
            assert_eq!(span(text), None, "{text}");
        }
    }

    #[test]
    fn loopback_is_told_by_address_and_not_by_likeness() {
        for host in ["localhost", "127.0.0.1", "127.8.9.10", "::1", "[::1]"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["", "broker", "127.0.0.1.example.com", "10.0.0.1", "[::2]", "localhost.example.com"] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
