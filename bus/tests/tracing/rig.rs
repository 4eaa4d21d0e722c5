//! A memory bus with the layer around it, in virtual time.

use std::sync::Arc;
use std::time::Duration;

use bus::layer::{LayerExt, Tracing};
use bus::middleware::{self, HandlerExt};
use bus::pipeline::{Backoff, Handler, Pipeline, Policy};
use bus::{
    Bus, BusExt, ClockExt, Declaration, Delivery, Destination, Headers, Message, MessageId, Outgoing, Seams,
    SubscribeOptions, Subscription, TraceContext,
};
use bus_memory::{MemoryBus, MemoryOptions};
use tokio_util::sync::CancellationToken;

/// The example of the recommendation, as a foreign producer would send it.
pub(crate) const FOREIGN: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

pub(crate) struct Rig {
    pub(crate) seams: Seams,
    /// Without the layer: a foreign producer's.
    pub(crate) bare: Arc<dyn Bus>,
    pub(crate) bus: Arc<dyn Bus>,
}

impl Rig {
    pub(crate) async fn new() -> Self {
        Self::on(MemoryOptions::default()).await
    }

    pub(crate) async fn on(options: MemoryOptions) -> Self {
        let seams = Seams::repeatable(jiff::Timestamp::UNIX_EPOCH, 1);
        let bare: Arc<dyn Bus> = MemoryBus::new(seams.clone(), options);
        let bus = Arc::clone(&bare).layer(Tracing::new(&seams));
        for name in ["orders", "events"] {
            bus.declare(&[Declaration::of(destination(name))]).await.expect("a fresh bus takes it");
        }
        Self { seams, bare, bus }
    }

    /// Publishes one message through the layer.
    pub(crate) async fn publish(&self, to: &str, message: Message) {
        assert!(self.bus.publish_one(Outgoing::new(destination(to), message)).await.is_accepted());
    }

    /// What waits on a destination; it goes back.
    pub(crate) async fn waiting(&self, name: &str) -> Vec<Delivery> {
        let receiver = self.bare.subscribe(&subscription(name), SubscribeOptions::default()).await.expect("declared");
        let mut found = Vec::new();
        let _ = self.seams.clock.timeout(Duration::from_millis(1), receiver.receive(100, &mut found)).await;
        found
    }

    /// The place in a trace of the only message on a destination.
    pub(crate) async fn context_on(&self, name: &str) -> TraceContext {
        let waiting = self.waiting(name).await;
        assert_eq!(waiting.len(), 1, "on {name}");
        TraceContext::of(waiting[0].message().headers()).expect("it belongs to a trace")
    }

    /// Runs `handler` with the middleware over `orders` for an hour.
    pub(crate) async fn process(&self, handler: impl Handler + 'static) {
        let handler = Arc::new(handler.with(middleware::Tracing::new(&self.seams)));
        let retry = Backoff { first: Duration::from_secs(1), max: Duration::from_secs(1) };
        let policy = Policy { retry, handler_timeout: Duration::from_secs(5), ..Policy::default() };
        let pipeline = Pipeline::new(Arc::clone(&self.bus), subscription("orders"), handler, self.seams.clone())
            .with_policy(policy);
        let shutdown = CancellationToken::new();
        let hour = async {
            self.seams.clock.sleep(Duration::from_secs(3_600)).await;
            shutdown.cancel();
        };
        let (ended, ()) = tokio::join!(pipeline.run(shutdown.clone()), hour);
        ended.expect("it could subscribe");
    }
}

pub(crate) fn destination(name: &str) -> Destination {
    Destination::new(name).expect("a legal name")
}

pub(crate) fn subscription(name: &str) -> Subscription {
    Subscription::to(destination(name))
}

pub(crate) fn message(id: &str) -> Message {
    Message::new(MessageId::parse(id).expect("a legal id"), id.as_bytes().to_vec())
}

/// The same with headers of a producer elsewhere.
pub(crate) fn from_elsewhere(id: &str, traceparent: &'static str) -> Message {
    let headers: Headers = [("traceparent", traceparent), ("tracestate", "congo=t61rcWkgMzE")].into_iter().collect();
    message(id).with_headers(headers)
}
