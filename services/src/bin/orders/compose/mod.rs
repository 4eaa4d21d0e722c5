//! The composition root: the only place that names concrete backends and stores.

mod agreement;
mod listeners;
mod reconcile;
mod serve;
mod sides;
mod signals;

use std::path::Path;
use std::sync::Arc;

use bus::{Bus, BusUrl, ErrorKind, Registry, Seams};
use bus_memory::MemoryBackend;

use crate::failure::Failure;

pub(crate) use agreement::contract;
pub(crate) use reconcile::reconcile;
pub(crate) use serve::serve;

/// The backends this build has.
fn registry() -> Registry {
    Registry::new().with(MemoryBackend)
}

/// Opens the bus. In memory it is journalled in `journal`, unless the URL names a place itself.
async fn open_bus(url: &BusUrl, journal: &Path, seams: &Seams) -> Result<Arc<dyn Bus>, Failure> {
    let url = match url.scheme() {
        "memory" => url.clone().with_default("journal", &journal.display().to_string()),
        _ => url.clone(),
    };
    registry().open(&url, seams).await.map_err(|error| match error.kind() {
        ErrorKind::Invalid => Failure::usage(format!("--bus {url}: {error}")),
        _ => Failure::runtime(format!("--bus {url}: {error}")),
    })
}
