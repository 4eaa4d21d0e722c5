//! `memory://` in a registry: the options of the URL.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bus::capability::{Counting, LeaseTerms, Order};
use bus::registry::Backend;
use bus::url::span;
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
    let own = MemoryOptions::default();
    Ok(MemoryOptions {
        capacity_count: url.read("capacity", own.capacity_count, count)?,
        capacity_bytes: url.read("capacity_bytes", own.capacity_bytes, count)?,
        message_bytes_max: url.read("message_bytes_max", own.message_bytes_max, |text| or_none(text, count))?,
        lease: LeaseTerms {
            duration: url.read("lease", own.lease.duration, |text| or_none(text, duration))?,
            total_max: url.read("lease_total_max", own.lease.total_max, |text| or_none(text, duration))?,
            extendable: url.switch("extendable", own.lease.extendable)?,
        },
        delay_max: url.read("delay_max", own.delay_max, |text| or_none(text, duration))?,
        nack_delay_max: url.read("nack_delay_max", own.nack_delay_max, |text| or_none(text, duration))?,
        order: url.read("order", own.order, order)?,
        receive_count: url.switch("receive_count", own.receive_count)?,
        release_uncounted: url.switch("release_uncounted", own.release_uncounted)?,
        dead_letters: url.switch("dead_letters", own.dead_letters)?,
        groups: url.switch("groups", own.groups)?,
        publish_atomic: url.switch("publish_atomic", own.publish_atomic)?,
        settle_confirmed: url.switch("settle_confirmed", own.settle_confirmed)?,
        depth: url.read("depth", own.depth, counting)?,
        purge: url.switch("purge", own.purge)?,
    })
}

/// A value, or the words for what it should be.
type Legal<T> = std::result::Result<T, String>;

fn or_none<T>(text: &str, read: impl FnOnce(&str) -> Legal<T>) -> Legal<Option<T>> {
    if text == "none" { Ok(None) } else { read(text).map(Some) }
}

fn count(text: &str) -> Legal<usize> {
    text.parse().ok().filter(|count| *count > 0).ok_or_else(|| "a whole number above 0".to_owned())
}

fn duration(text: &str) -> Legal<Duration> {
    span(text)
        .filter(|span| !span.is_zero())
        .ok_or_else(|| "a whole number above 0 and its unit, such as 500ms, 30s, 5m, 12h or 15d".to_owned())
}

fn order(text: &str) -> Legal<Order> {
    match text {
        "key" => Ok(Order::PerKey),
        "none" => Ok(Order::None),
        _ => Err("`key` or `none`".to_owned()),
    }
}

fn counting(text: &str) -> Legal<Counting> {
    match text {
        "exact" => Ok(Counting::Exact),
        "approximate" => Ok(Counting::Approximate),
        "none" => Ok(Counting::None),
        _ => Err("`exact`, `approximate` or `none`".to_owned()),
    }
}

fn invalid(text: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, "bus url", text)
}
