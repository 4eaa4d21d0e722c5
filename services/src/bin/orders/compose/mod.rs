//! The composition root: the only place that names concrete backends and stores.

mod agreement;
mod dead_letters;
mod lag;
mod listeners;
mod members;
mod reconcile;
mod serve;
mod sides;
mod signals;
mod watched;

use std::path::Path;
use std::sync::Arc;

use bus::{Bus, BusUrl, ErrorKind, Registry, Seams};
use bus_memory::{MemoryBackend, MemoryBus};
use services::store::StoreId;

use crate::failure::Failure;

pub(crate) use agreement::contract;
pub(crate) use dead_letters::{DeadLettersCommand, dead_letters};
pub(crate) use reconcile::reconcile;
pub(crate) use serve::serve;

/// The backends this build has.
fn registry() -> Registry {
    let registry = Registry::new().with(MemoryBackend);
    #[cfg(feature = "amqp")]
    let registry = registry.with(bus_amqp::AmqpBackend);
    #[cfg(feature = "sqs")]
    let registry = registry.with(bus_sqs::SqsBackend);
    #[cfg(feature = "kafka")]
    let registry = registry.with(bus_kafka::KafkaBackend);
    registry
}

/// Whether this build has a backend for `url`; asked before anything is created.
fn check_scheme(url: &BusUrl) -> Result<(), Failure> {
    let registry = registry();
    if registry.schemes().any(|scheme| scheme == url.scheme()) {
        return Ok(());
    }
    let known: Vec<String> = registry.schemes().map(|scheme| format!("{scheme}://")).collect();
    Err(Failure::usage(format!("--bus {url}: this build has no backend for {}://", url.scheme()))
        .hint(format!("known are {}", known.join(", "))))
}

/// A bus, and the memory behind it where it lives in this process and can fail with its disk.
struct OpenBus {
    bus: Arc<dyn Bus>,
    memory: Option<Arc<MemoryBus>>,
    /// How far its partitions are, where the backend tells.
    lag: Option<lag::Source>,
}

impl OpenBus {
    /// Resolves when the bus has failed for good. A broker's outage is not that: backends reconnect.
    async fn failed(&self) -> bus::Error {
        match &self.memory {
            Some(memory) => memory.failed().await,
            None => std::future::pending().await,
        }
    }
}

/// Opens the bus. In memory it is journalled in `journal`, unless the URL names a place itself.
/// `store` keeps the effects of what is received: Kafka shows the members of a group to each other, so
/// there it keeps one with another store out.
async fn open_bus(url: &BusUrl, journal: &Path, store: Option<StoreId>, seams: &Seams) -> Result<OpenBus, Failure> {
    check_scheme(url)?;
    let opened = if url.scheme() == "memory" {
        let journalled = url.clone().with_default("journal", &journal.display().to_string());
        let opened = MemoryBackend.open_memory(&journalled, seams).await;
        opened.map(|memory| OpenBus { bus: Arc::clone(&memory) as _, memory: Some(memory), lag: None })
    } else {
        open_broker(url, store, seams).await
    };
    opened.map_err(|error| match error.kind() {
        ErrorKind::Invalid => Failure::usage(format!("--bus {url}: {error}")),
        _ => Failure::runtime(format!("--bus {url}: {error}")),
    })
}

async fn open_broker(url: &BusUrl, store: Option<StoreId>, seams: &Seams) -> bus::Result<OpenBus> {
    #[cfg(feature = "kafka")]
    if url.scheme() == "kafka" {
        let holder = store.map(|store| store.to_string());
        let told = holder.map_or(url.clone(), |holder| url.clone().with_default("holder", &holder));
        let kafka = bus_kafka::KafkaBus::open(bus_kafka::KafkaOptions::of(&told)?, seams.clone())?;
        return Ok(OpenBus { bus: Arc::clone(&kafka) as _, memory: None, lag: Some(lag::of_kafka(kafka)) });
    }
    // Without Kafka nobody shows who else receives.
    let _ = store;
    Ok(OpenBus { bus: registry().open(url, seams).await?, memory: None, lag: None })
}
