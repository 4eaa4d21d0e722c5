//! One in-memory broker for each case.

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use bus::conformance::{Harness, Time};
use bus::{Bus, Result, Seams};
use bus_memory::{MemoryBus, MemoryOptions};

/// Every connection is the same bus: there is no other way into this process.
pub(crate) struct Memory {
    options: MemoryOptions,
    wrap: Wrap,
    bus: OnceLock<Arc<dyn Bus>>,
}

type Wrap = Box<dyn Fn(Arc<dyn Bus>, &Seams) -> Arc<dyn Bus> + Send + Sync>;

impl Memory {
    pub(crate) fn with(options: MemoryOptions) -> Self {
        Self { options, wrap: Box::new(|bus, _| bus), bus: OnceLock::new() }
    }

    /// The same bus with what `wrap` puts around it.
    pub(crate) fn wrapped(
        mut self,
        wrap: impl Fn(Arc<dyn Bus>, &Seams) -> Arc<dyn Bus> + Send + Sync + 'static,
    ) -> Self {
        self.wrap = Box::new(wrap);
        self
    }
}

#[async_trait]
impl Harness for Memory {
    fn time(&self) -> Time {
        Time::Virtual
    }

    async fn connect(&self, seams: &Seams) -> Result<Arc<dyn Bus>> {
        let bus = self.bus.get_or_init(|| (self.wrap)(MemoryBus::new(seams.clone(), self.options.clone()), seams));
        Ok(Arc::clone(bus))
    }
}
