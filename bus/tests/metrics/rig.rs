//! A memory bus with the layer around it and a registry, in virtual time.

use std::sync::Arc;
use std::time::Duration;

use bus::layer::{LayerExt, Metering};
use bus::metrics::prometheus_client::encoding::text::encode;
use bus::metrics::{Metrics, Registry};
use bus::{
    Bus, BusExt, ClockExt, Declaration, Delivery, Destination, Message, Outgoing, Receiver, Seams, SubscribeOptions,
    Subscription,
};
use bus_memory::{MemoryBus, MemoryOptions};

pub(crate) struct Rig {
    pub(crate) seams: Seams,
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) metrics: Metrics,
    registry: Registry,
}

impl Rig {
    pub(crate) async fn new() -> Self {
        Self::on(MemoryOptions::default()).await
    }

    pub(crate) async fn on(options: MemoryOptions) -> Self {
        let seams = Seams::repeatable(jiff::Timestamp::UNIX_EPOCH, 1);
        let bus = MemoryBus::new(seams.clone(), options);
        bus.declare(&[Declaration::of(orders())]).await.expect("a fresh bus takes it");
        Self::around(seams, bus)
    }

    pub(crate) fn around(seams: Seams, bus: Arc<dyn Bus>) -> Self {
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        let bus = bus.layer(Metering::new(metrics.clone(), &seams));
        Self { seams, bus, metrics, registry }
    }

    pub(crate) fn message(&self, body: &str) -> Message {
        Message::new(self.seams.message_id(body), body.as_bytes().to_vec())
    }

    pub(crate) async fn publish(&self, bodies: &[&str]) {
        for body in bodies {
            assert!(self.bus.publish_one(Outgoing::new(orders(), self.message(body))).await.is_accepted());
        }
    }

    pub(crate) async fn receiver(&self) -> Arc<dyn Receiver> {
        let options = SubscribeOptions { prefetch_count_max: 10, lease: Some(Duration::from_secs(30)) };
        self.bus.subscribe(&Subscription::to(orders()), options).await.expect("declared")
    }

    /// Receives `count` deliveries.
    pub(crate) async fn take(&self, receiver: &Arc<dyn Receiver>, count: usize) -> Vec<Delivery> {
        let mut into = Vec::new();
        while into.len() < count {
            receiver.receive(count - into.len(), &mut into).await.expect("it is open");
        }
        into
    }

    pub(crate) async fn pass(&self, span: Duration) {
        self.seams.clock.sleep(span).await;
    }

    /// What a scrape shows of the families whose names begin so, comments aside, in alphabetical
    /// order: within a family the client has none.
    pub(crate) fn scrape(&self, beginning: &str) -> Vec<String> {
        let mut page = String::new();
        encode(&mut page, &self.registry).expect("text can be written to a string");
        let mut lines: Vec<String> =
            page.lines().filter(|line| line.starts_with(beginning)).map(str::to_owned).collect();
        lines.sort();
        lines
    }

    /// The only value of a family.
    pub(crate) fn value(&self, family: &str) -> i64 {
        let lines = self.scrape(&format!("{family}{{"));
        assert_eq!(lines.len(), 1, "{lines:?}");
        lines[0].rsplit(' ').next().and_then(|value| value.parse().ok()).expect("a number ends the line")
    }

    pub(crate) fn in_flight(&self) -> i64 {
        self.value("messaging_client_in_flight_messages")
    }

    pub(crate) fn leases_lost(&self) -> i64 {
        self.value("messaging_client_leases_lost_total")
    }
}

pub(crate) fn orders() -> Destination {
    Destination::new("orders").expect("a legal name")
}
