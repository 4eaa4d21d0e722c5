//! `memory://` in a registry: the options of the URL.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bus::capability::{Counting, Order};
use bus::registry::Backend;
use bus::{Bus, BusUrl, Error, ErrorKind, Result, Seams};

use crate::{MemoryBus, MemoryOptions};

/// Opens `memory://?option=value…`.
///
/// | option | value | meaning |
/// |---|---|---|
/// | `journal` | directory | keep accepted messages there |
/// | `capacity`, `capacity_bytes` | number | what a queue holds before publishers wait |
/// | `message_bytes_max` | number, `none` | largest message |
/// | `lease`, `lease_total_max` | duration, `none` | length of a lease, and with all extensions |
/// | `delay_max`, `nack_delay_max` | duration, `none` | longest delays |
/// | `order` | `key`, `none` | order over competing receivers |
/// | `depth` | `exact`, `approximate`, `none` | how waiting messages are counted |
/// | `extendable`, `receive_count`, `release_uncounted`, `dead_letters`, `groups`, `publish_atomic`, `settle_confirmed`, `purge` | `on`, `off` | see [`MemoryOptions`] |
///
/// A duration is a whole number with its unit: `500ms`, `30s`, `5m`, `12h`, `15d`.
///
/// ```
/// use bus::{Bus, BusUrl, Registry, Seams};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> bus::Result<()> {
/// let registry = Registry::new().with(bus_memory::MemoryBackend);
/// let bus = registry.open(&BusUrl::parse("memory://?lease=10s&order=none")?, &Seams::system()).await?;
/// assert_eq!(bus.capability().lease.duration, Some(std::time::Duration::from_secs(10)));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct MemoryBackend;

const OPTIONS: &[&str] = &[
    "journal",
    "capacity",
    "capacity_bytes",
    "message_bytes_max",
    "lease",
    "lease_total_max",
    "delay_max",
    "nack_delay_max",
    "order",
    "extendable",
    "receive_count",
    "release_uncounted",
    "dead_letters",
    "groups",
    "publish_atomic",
    "settle_confirmed",
    "depth",
    "purge",
];

impl MemoryBackend {
    /// Opens the bus that `url` names, as itself: its owner can watch [`MemoryBus::failed`].
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) for a host, a path or a bad option; otherwise as for
    /// [`MemoryBus::open`].
    pub async fn open_memory(&self, url: &BusUrl, seams: &Seams) -> Result<Arc<MemoryBus>> {
        if !url.authority().is_empty() || !url.path().is_empty() {
            return Err(invalid("memory:// has no host and no path; a journal is `memory://?journal=DIR`"));
        }
        url.only_options(OPTIONS)?;
        let options = options(url)?;
        match url.option("journal") {
            None => Ok(MemoryBus::new(seams.clone(), options)),
            Some(journal) => journaled(journal, seams, options).await,
        }
    }
}

#[async_trait]
impl Backend for MemoryBackend {
    fn schemes(&self) -> &'static [&'static str] {
        &["memory"]
    }

    async fn open(&self, url: &BusUrl, seams: &Seams) -> Result<Arc<dyn Bus>> {
        Ok(self.open_memory(url, seams).await?)
    }
}

#[cfg(feature = "journal")]
async fn journaled(journal: &str, seams: &Seams, options: MemoryOptions) -> Result<Arc<MemoryBus>> {
    if journal.is_empty() {
        return Err(invalid("`journal` is empty; name a directory, or leave the option out"));
    }
    MemoryBus::open(std::path::Path::new(journal), seams.clone(), options).await
}

#[cfg(not(feature = "journal"))]
async fn journaled(_: &str, _: &Seams, _: MemoryOptions) -> Result<Arc<MemoryBus>> {
    Err(Error::new(ErrorKind::Unsupported, "open", "this build has no journal; build with the feature `journal`"))
}

fn options(url: &BusUrl) -> Result<MemoryOptions> {
    let mut options = MemoryOptions::default();
    set(url, "capacity", &mut options.capacity_count, count)?;
    set(url, "capacity_bytes", &mut options.capacity_bytes, count)?;
    set(url, "message_bytes_max", &mut options.message_bytes_max, |text| or_none(text, count))?;
    set(url, "lease", &mut options.lease.duration, |text| or_none(text, duration))?;
    set(url, "lease_total_max", &mut options.lease.total_max, |text| or_none(text, duration))?;
    set(url, "delay_max", &mut options.delay_max, |text| or_none(text, duration))?;
    set(url, "nack_delay_max", &mut options.nack_delay_max, |text| or_none(text, duration))?;
    set(url, "order", &mut options.order, order)?;
    set(url, "extendable", &mut options.lease.extendable, switch)?;
    set(url, "receive_count", &mut options.receive_count, switch)?;
    set(url, "release_uncounted", &mut options.release_uncounted, switch)?;
    set(url, "dead_letters", &mut options.dead_letters, switch)?;
    set(url, "groups", &mut options.groups, switch)?;
    set(url, "publish_atomic", &mut options.publish_atomic, switch)?;
    set(url, "settle_confirmed", &mut options.settle_confirmed, switch)?;
    set(url, "depth", &mut options.depth, counting)?;
    set(url, "purge", &mut options.purge, switch)?;
    Ok(options)
}

/// Reads an option if it is given; the reader says what it expected.
fn set<T>(
    url: &BusUrl,
    name: &str,
    target: &mut T,
    read: impl FnOnce(&str) -> std::result::Result<T, &'static str>,
) -> Result<()> {
    if let Some(text) = url.option(name) {
        *target = read(text).map_err(|expected| invalid(format!("option `{name}` is `{text}`; use {expected}")))?;
    }
    Ok(())
}

fn or_none<T>(
    text: &str,
    read: impl FnOnce(&str) -> std::result::Result<T, &'static str>,
) -> std::result::Result<Option<T>, &'static str> {
    if text == "none" { Ok(None) } else { read(text).map(Some) }
}

fn count(text: &str) -> std::result::Result<usize, &'static str> {
    text.parse().ok().filter(|count| *count > 0).ok_or("a whole number above 0")
}

fn order(text: &str) -> std::result::Result<Order, &'static str> {
    match text {
        "key" => Ok(Order::PerKey),
        "none" => Ok(Order::None),
        _ => Err("`key` or `none`"),
    }
}

fn counting(text: &str) -> std::result::Result<Counting, &'static str> {
    match text {
        "exact" => Ok(Counting::Exact),
        "approximate" => Ok(Counting::Approximate),
        "none" => Ok(Counting::None),
        _ => Err("`exact`, `approximate` or `none`"),
    }
}

fn switch(text: &str) -> std::result::Result<bool, &'static str> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("`on` or `off`"),
    }
}

fn duration(text: &str) -> std::result::Result<Duration, &'static str> {
    const EXPECTED: &str = "a whole number above 0 and its unit, such as 500ms, 30s, 5m, 12h or 15d";
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).ok_or(EXPECTED)?);
    let milliseconds_per_unit: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(EXPECTED),
    };
    let number: u64 = number.parse().ok().filter(|number| *number > 0).ok_or(EXPECTED)?;
    number.checked_mul(milliseconds_per_unit).map(Duration::from_millis).ok_or(EXPECTED)
}

fn invalid(text: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, "bus url", text)
}
