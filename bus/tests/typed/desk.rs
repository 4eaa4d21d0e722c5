//! A bus with one destination, and what its handler has seen.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bus::pipeline::{Envelope, Handled, Pipeline};
use bus::typed::Front;
use bus::{
    BusExt, ClockExt, Declaration, Delivery, Destination, Message, MessageId, MessageKey, Outgoing, Seams,
    SubscribeOptions, Subscription, dead_letter,
};
use bus_memory::{MemoryBus, MemoryOptions};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) number: String,
    pub(crate) quantity: u32,
}

pub(crate) fn order(number: &str) -> Order {
    Order { number: number.to_owned(), quantity: 2 }
}

pub(crate) fn key(text: &str) -> MessageKey {
    MessageKey::new(text).expect("a legal key")
}

/// A bus with one destination, and what a handler has seen of it.
pub(crate) struct Desk {
    pub(crate) front: Front,
    pub(crate) seams: Seams,
    pub(crate) orders: Destination,
    pub(crate) seen: Arc<Mutex<Vec<(Order, Envelope)>>>,
}

impl Desk {
    pub(crate) async fn new() -> Self {
        let seams = Seams::repeatable(jiff::Timestamp::UNIX_EPOCH, 1);
        let front = Front::new(MemoryBus::new(seams.clone(), MemoryOptions::default()), seams.clone());
        let orders = Destination::new("orders").expect("a legal name");
        front.bus().declare(&[Declaration::of(orders.clone())]).await.expect("declared");
        Self { front, seams, orders, seen: Arc::default() }
    }

    pub(crate) fn subscription(&self) -> Subscription {
        Subscription::to(self.orders.clone())
    }

    /// Publishes bytes as they are, without a content type unless one is given.
    pub(crate) async fn publish_raw(&self, body: &[u8], content_type: Option<&'static str>) -> MessageId {
        let message = Message::new(self.seams.message_id("raw"), body.to_vec()).with_key(key("one"));
        let message = match content_type {
            Some(content_type) => message.with_content_type(content_type),
            None => message,
        };
        let id = message.id().clone();
        assert!(self.front.bus().publish_one(Outgoing::new(self.orders.clone(), message)).await.is_accepted());
        id
    }

    /// A handler that notes down what it gets.
    pub(crate) fn notes(&self) -> impl Fn(Order, Envelope) -> std::future::Ready<Handled> + Send + Sync + 'static {
        let seen = Arc::clone(&self.seen);
        move |order, envelope| {
            seen.lock().expect("nobody panics with it").push((order, envelope));
            std::future::ready(Ok(()))
        }
    }

    /// Runs `pipeline` for an hour: long enough for every retry there could be.
    pub(crate) async fn run(&self, pipeline: Pipeline) {
        let shutdown = CancellationToken::new();
        let hour = async {
            self.seams.clock.sleep(Duration::from_secs(3_600)).await;
            shutdown.cancel();
        };
        let (ran, ()) = futures_util::join!(pipeline.run(shutdown.clone()), hour);
        ran.expect("subscribed");
    }

    pub(crate) fn seen_numbers(&self) -> Vec<String> {
        self.seen.lock().expect("nobody panics with it").iter().map(|(order, _)| order.number.clone()).collect()
    }

    /// Everything that waits on a destination.
    pub(crate) async fn waiting(&self, destination: Destination) -> Vec<Delivery> {
        let subscription = Subscription::to(destination);
        let receiver = self.front.bus().subscribe(&subscription, SubscribeOptions::default()).await.expect("declared");
        let mut into = Vec::new();
        while self.seams.clock.timeout(Duration::from_secs(1), receiver.receive(100, &mut into)).await.is_some() {}
        into
    }

    pub(crate) async fn dead(&self) -> Vec<Message> {
        let dead = self.waiting(self.orders.dead_letters().expect("fits")).await;
        dead.into_iter().map(|delivery| delivery.message().clone()).collect()
    }

    pub(crate) async fn dead_reason(&self) -> String {
        let dead = self.dead().await;
        assert_eq!(dead.len(), 1, "{dead:?}");
        dead[0].headers().text(dead_letter::REASON).expect("a reason").to_owned()
    }
}
