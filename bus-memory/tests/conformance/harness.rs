//! One in-memory broker for each case.

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use bus::conformance::{Harness, Time};
use bus::{Bus, Result, Seams};
use bus_memory::{MemoryBus, MemoryOptions};

/// Every connection is the same bus: there is no other way into this process.
pub(crate) struct Memory {
    options: MemoryOptions,
    bus: OnceLock<Arc<MemoryBus>>,
}

impl Memory {
    pub(crate) fn with(options: MemoryOptions) -> Self {
        Self { options, bus: OnceLock::new() }
    }
}

#[async_trait]
impl Harness for Memory {
    fn time(&self) -> Time {
        Time::Virtual
    }

    async fn connect(&self, seams: &Seams) -> Result<Arc<dyn Bus>> {
        let bus = self.bus.get_or_init(|| MemoryBus::new(seams.clone(), self.options.clone()));
        Ok(Arc::clone(bus) as _)
    }
}
