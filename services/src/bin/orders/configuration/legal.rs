//! What a value must look like: one reader per kind.
//!
//! An error says what would be legal, in words that follow "use", and repeats nothing of the value,
//! which may be a secret.

use std::net::SocketAddr;
use std::time::Duration;

use bus::{BusUrl, Destination, MessageId, MessageKey};
use jiff::SignedDuration;
use jiff::tz::TimeZone;
use secrecy::SecretString;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// Longest time that can be asked for: more is a slip of the unit.
const TIME_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// More handlers than this only cost memory.
const CONCURRENCY_MAX: usize = 4096;
/// Each is a connection with threads of its own; topics have four partitions unless told otherwise.
const MEMBERS_MAX: usize = 64;
/// A message that fails this often does not need another attempt.
const ATTEMPTS_MAX: u32 = 1000;

type Legal<T> = Result<T, String>;

pub(crate) fn bus(text: &str) -> Legal<BusUrl> {
    BusUrl::parse(text).map_err(|error| format!("a bus URL such as memory:// or amqp://127.0.0.1:5672 ({error})"))
}

pub(crate) fn address(text: &str) -> Legal<SocketAddr> {
    text.parse().map_err(|_| {
        "an IP address and a port, such as 127.0.0.1:8080 or [::1]:8080; host names are not looked up".to_owned()
    })
}

pub(crate) fn destination(text: &str) -> Legal<Destination> {
    let name =
        Destination::new(text).map_err(|_| "1 to 80 of the characters A–Z, a–z, 0–9, `_`, `-`, `.`".to_owned())?;
    // The dead letters live in a destination whose name is longer.
    name.dead_letters().map_err(|_| "a name that leaves room for the ending `-dlq` within 80 characters".to_owned())?;
    Ok(name)
}

pub(crate) fn message_id(text: &str) -> Legal<MessageId> {
    MessageId::parse(text).map_err(|_| "the id of a message, as `orders dead-letters list` shows it".to_owned())
}

pub(crate) fn message_key(text: &str) -> Legal<MessageKey> {
    MessageKey::new(text).map_err(|_| "an order number such as ORD-20260101-120000-0A1B2C3D".to_owned())
}

pub(crate) fn time_zone(text: &str) -> Legal<TimeZone> {
    TimeZone::get(text).map_err(|_| {
        "an IANA name such as UTC or Asia/Seoul; names other than UTC need the time zone database of this machine (tzdata)"
            .to_owned()
    })
}

pub(crate) fn token(text: &str) -> Legal<SecretString> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("visible ASCII characters without spaces (it becomes an HTTP header)".to_owned());
    }
    Ok(text.into())
}

/// A time that may be zero.
pub(crate) fn time(text: &str) -> Legal<Duration> {
    let time = text.parse::<SignedDuration>().ok().and_then(|time| Duration::try_from(time).ok());
    time.filter(|time| *time <= TIME_MAX)
        .ok_or_else(|| "a time with its unit, such as 500ms, 30s or 2m, at most 24h".to_owned())
}

/// A time between two runs of something, which must not become a busy loop.
pub(crate) fn pause(text: &str) -> Legal<Duration> {
    time(text)
        .ok()
        .filter(|time| *time >= Duration::from_millis(1))
        .ok_or_else(|| "a time with its unit, such as 500ms, 30s or 2m, from 1ms to 24h".to_owned())
}

pub(crate) fn concurrency(text: &str) -> Legal<usize> {
    let count = text.parse().ok().filter(|count| (1..=CONCURRENCY_MAX).contains(count));
    count.ok_or_else(|| format!("a whole number from 1 to {CONCURRENCY_MAX}"))
}

pub(crate) fn members(text: &str) -> Legal<usize> {
    let count = text.parse().ok().filter(|count| (1..=MEMBERS_MAX).contains(count));
    count.ok_or_else(|| format!("a whole number from 1 to {MEMBERS_MAX}"))
}

pub(crate) fn attempts(text: &str) -> Legal<u32> {
    let count = text.parse().ok().filter(|count| (1..=ATTEMPTS_MAX).contains(count));
    count.ok_or_else(|| format!("a whole number from 1 to {ATTEMPTS_MAX}"))
}

/// A word alone must be a level: `EnvFilter` would take a misspelt one for a target and log nothing else.
pub(crate) fn log_filter(text: &str) -> Legal<String> {
    let plausible = |part: &str| part.contains('=') || part.trim().parse::<LevelFilter>().is_ok();
    if text.split(',').all(plausible) && EnvFilter::try_new(text).is_ok() {
        return Ok(text.to_owned());
    }
    Err("a level (error, warn, info, debug, trace, off), or pairs such as info,bus=debug".to_owned())
}
