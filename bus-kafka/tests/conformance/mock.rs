//! librdkafka's own broker, in this process: one for each case.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bus::conformance::{Deviation, Harness, Outages, Time};
use bus::{Bus, BusUrl, Destination, Result, Seams};
use bus_kafka::{KafkaBus, KafkaOptions};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer as _};

/// The cluster belongs to a client, and goes with it.
pub(crate) struct Mock {
    client: BaseProducer,
    /// Of the buses on it.
    options: &'static str,
}

/// How long what a foreign client sends may take.
pub(crate) const FOREIGN_MAX: Duration = Duration::from_secs(10);

impl Mock {
    pub(crate) fn with(options: &'static str) -> Self {
        let client = ClientConfig::new().set("test.mock.num.brokers", "1").create();
        Self { client: client.expect("a cluster in this process"), options }
    }

    fn cluster(&self) -> rdkafka::mocking::MockCluster<'_, DefaultProducerContext> {
        self.client.client().mock_cluster().expect("it was asked for")
    }
}

/// No text is a message id that is empty.
pub(crate) fn send_undecodable(producer: &BaseProducer, destination: &Destination, raw: &[u8]) {
    let headers = rdkafka::message::OwnedHeaders::new()
        .insert(rdkafka::message::Header { key: "x-message-id", value: Some(&b"\xff"[..]) });
    let record = BaseRecord::<(), [u8]>::to(destination.as_str()).payload(raw).headers(headers);
    producer.send(record).map_err(|(error, _)| error).expect("there is room");
    producer.flush(FOREIGN_MAX).expect("it is taken");
}

#[async_trait]
impl Harness for Mock {
    fn time(&self) -> Time {
        Time::Real { unit: Duration::from_secs(1), patience: Duration::from_millis(800) }
    }

    async fn connect(&self, seams: &Seams) -> Result<Arc<dyn Bus>> {
        let (servers, options) = (self.cluster().bootstrap_servers(), self.options);
        let url = format!("kafka://{servers}?admin=off&session=6s&timeout=10s{options}");
        Ok(KafkaBus::open(KafkaOptions::of(&BusUrl::parse(&url)?)?, seams.clone())?)
    }

    fn deviations(&self) -> &'static [Deviation] {
        super::DEVIATIONS
    }

    fn has_undecodable(&self) -> bool {
        true
    }

    async fn publish_undecodable(&self, destination: &Destination, raw: &[u8]) -> Result<()> {
        send_undecodable(&self.client, destination, raw);
        Ok(())
    }

    fn outages(&self) -> Option<&dyn Outages> {
        Some(self)
    }
}

#[async_trait]
impl Outages for Mock {
    fn state_survives_kill(&self) -> bool {
        true
    }

    async fn kill_and_restart(&self) {
        self.cluster().broker_down(1).expect("the one there is");
        tokio::task::yield_now().await;
        self.stall(Duration::from_secs(1)).await;
        self.cluster().broker_up(1).expect("the one there is");
    }

    async fn cut(&self) {
        self.cluster().broker_down(1).expect("the one there is");
        self.cluster().broker_up(1).expect("the one there is");
    }

    async fn stall(&self, span: Duration) {
        // Answers take that long for a while.
        self.cluster().broker_round_trip_time(1, span).expect("the one there is");
        let seams = Seams::system();
        seams.clock.sleep_until(seams.clock.now() + span).await;
        self.cluster().broker_round_trip_time(1, Duration::ZERO).expect("the one there is");
    }
}
