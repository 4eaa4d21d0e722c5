//! A bus whose accepted messages are on disk, in real time: the journal has a thread of its own, and
//! paused time would run away while it writes.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bus::conformance::{Harness, Time};
use bus::{Bus, BusState, Result, Seams};
use bus_memory::{MemoryBus, MemoryOptions};
use tempfile::TempDir;
use tokio::sync::Mutex;

/// One directory, which has one bus at a time: a connection is the open one, or opens the next.
pub(crate) struct Journaled {
    options: MemoryOptions,
    directory: TempDir,
    open: Mutex<Option<Arc<MemoryBus>>>,
}

impl Journaled {
    pub(crate) fn with(options: MemoryOptions) -> Self {
        let directory = tempfile::tempdir().expect("a place for the journal");
        Self { options, directory, open: Mutex::default() }
    }
}

#[async_trait]
impl Harness for Journaled {
    fn time(&self) -> Time {
        Time::Real { unit: Duration::from_millis(500), patience: Duration::from_millis(50) }
    }

    async fn connect(&self, seams: &Seams) -> Result<Arc<dyn Bus>> {
        let mut open = self.open.lock().await;
        if let Some(bus) = open.as_ref().filter(|bus| !matches!(bus.state(), BusState::Down(_))) {
            return Ok(Arc::clone(bus) as _);
        }
        if let Some(closed) = open.take() {
            closed.close(Duration::from_secs(30)).await?;
        }
        let bus = MemoryBus::open(self.directory.path(), seams.clone(), self.options.clone()).await?;
        *open = Some(Arc::clone(&bus));
        Ok(bus)
    }
}
