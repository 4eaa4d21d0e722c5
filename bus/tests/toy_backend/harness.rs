use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bus::conformance::{Harness, Time};
use bus::registry::Backend;
use bus::{Bus, BusUrl, Destination, Result, Seams};
use bytes::Bytes;

use super::config::ToyBackend;
use super::error::told;

/// One broker for each case, reached the way an application reaches it.
pub(crate) struct Toy {
    backend: ToyBackend,
    url: &'static str,
}

impl Toy {
    pub(crate) fn at(url: &'static str) -> Self {
        Self { backend: ToyBackend::default(), url }
    }
}

#[async_trait]
impl Harness for Toy {
    fn time(&self) -> Time {
        Time::Virtual
    }

    async fn connect(&self, seams: &Seams) -> Result<Arc<dyn Bus>> {
        self.backend.open(&BusUrl::parse(self.url)?, seams).await
    }

    fn has_undecodable(&self) -> bool {
        true
    }

    async fn publish_undecodable(&self, destination: &Destination, raw: &[u8]) -> Result<()> {
        let broker = self.backend.0.get().expect("a case connects first");
        let sent = broker.put(destination.as_str(), Bytes::copy_from_slice(raw), Duration::ZERO);
        sent.map(drop).map_err(|fault| told(&fault, "publish", destination))
    }
}
