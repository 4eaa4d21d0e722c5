//! A broker from `tests/brokers`, shared by all cases.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bus::conformance::{Deviation, Harness, Time};
use bus::{Bus, BusUrl, Destination, Result, Seams};
use bus_kafka::{KafkaBus, KafkaOptions};
use rdkafka::ClientConfig;
use rdkafka::producer::BaseProducer;

pub(crate) struct Kafka {
    server: String,
    /// Of the buses on it.
    options: String,
}

impl Kafka {
    pub(crate) fn at(port: &str, options: String) -> Self {
        Self { server: format!("127.0.0.1:{port}"), options }
    }
}

/// Nobody else's delay topics: a group of many that come and go forwards late.
pub(crate) fn fresh_scope() -> String {
    format!("{:x}", Seams::system().entropy.bits("conformance", "scope") as u64)
}

#[async_trait]
impl Harness for Kafka {
    fn time(&self) -> Time {
        Time::Real { unit: Duration::from_secs(1), patience: Duration::from_millis(1_000) }
    }

    async fn connect(&self, seams: &Seams) -> Result<Arc<dyn Bus>> {
        let url = format!("kafka://{}?session=6s&timeout=10s&holder=suite{}", self.server, self.options);
        Ok(KafkaBus::open(KafkaOptions::of(&BusUrl::parse(&url)?)?, seams.clone())?)
    }

    fn deviations(&self) -> &'static [Deviation] {
        super::DEVIATIONS
    }

    fn has_undecodable(&self) -> bool {
        true
    }

    async fn publish_undecodable(&self, destination: &Destination, raw: &[u8]) -> Result<()> {
        let producer: BaseProducer =
            ClientConfig::new().set("bootstrap.servers", &self.server).create().expect("a foreign client");
        super::mock::send_undecodable(&producer, destination, raw);
        Ok(())
    }
}
