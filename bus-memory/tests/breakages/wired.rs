//! A broken client at the end of a wire.

use std::sync::Arc;

use async_trait::async_trait;
use bus::conformance::{Harness, Outages, Time};
use bus::{Bus, Result, Seams};

use crate::breakage::Wrap;
use crate::wire::Wire;

/// One broker; each connection has layers of its own.
pub(crate) struct Wired {
    pub(crate) wire: Wire,
    pub(crate) wrap: Arc<Wrap>,
}

#[async_trait]
impl Harness for Wired {
    fn time(&self) -> Time {
        self.wire.time()
    }

    async fn connect(&self, seams: &Seams) -> Result<Arc<dyn Bus>> {
        Ok((self.wrap)(self.wire.connect(seams).await?, seams))
    }

    fn outages(&self) -> Option<&dyn Outages> {
        self.wire.outages()
    }

    fn secrets(&self) -> &'static [&'static str] {
        self.wire.secrets()
    }

    fn api_call_count(&self) -> Option<u64> {
        self.wire.api_call_count()
    }

    fn api_calls_per_message_max(&self) -> f64 {
        self.wire.api_calls_per_message_max()
    }
}
