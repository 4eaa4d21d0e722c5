//! The typed front on the in-memory bus, in virtual time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bus::inbox::{Committed, IdempotentReceiver, Inbox, Parts, UnitOfWork};
use bus::middleware::{HandlerExt, Middleware};
use bus::pipeline::{Attempts, Begun, Envelope, Failure, Handled, Handler, Pipeline};
use bus::typed::{Codec, Decode, Decoding, Encode, Front, Json, REASON_BYTES_MAX, TypedHandler, TypedUnitHandler};
use bus::{
    Bus, BusExt, ClockExt, Declaration, Delivery, Destination, Error, ErrorKind, Message, MessageId, MessageKey,
    Outgoing, PublishOutcome, Result, Seams, SubscribeOptions, Subscription, dead_letter,
};
use bus_memory::{MemoryBus, MemoryOptions};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Order {
    number: String,
    quantity: u32,
}

fn order(number: &str) -> Order {
    Order { number: number.to_owned(), quantity: 2 }
}

fn key(text: &str) -> MessageKey {
    MessageKey::new(text).expect("a legal key")
}

/// A bus with one destination, and what a handler has seen of it.
struct Desk {
    front: Front,
    seams: Seams,
    orders: Destination,
    seen: Arc<Mutex<Vec<(Order, Envelope)>>>,
}

impl Desk {
    async fn new() -> Self {
        let seams = Seams::repeatable(jiff::Timestamp::UNIX_EPOCH, 1);
        let front = Front::new(MemoryBus::new(seams.clone(), MemoryOptions::default()), seams.clone());
        let orders = Destination::new("orders").expect("a legal name");
        front.bus().declare(&[Declaration::of(orders.clone())]).await.expect("declared");
        Self { front, seams, orders, seen: Arc::default() }
    }

    fn subscription(&self) -> Subscription {
        Subscription::to(self.orders.clone())
    }

    /// Publishes bytes as they are, without a content type unless one is given.
    async fn publish_raw(&self, body: &[u8], content_type: Option<&'static str>) -> MessageId {
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
    fn notes(&self) -> impl Fn(Order, Envelope) -> std::future::Ready<Handled> + Send + Sync + 'static {
        let seen = Arc::clone(&self.seen);
        move |order, envelope| {
            seen.lock().unwrap().push((order, envelope));
            std::future::ready(Ok(()))
        }
    }

    /// Runs `pipeline` for an hour: long enough for every retry there could be.
    async fn run(&self, pipeline: Pipeline) {
        let shutdown = CancellationToken::new();
        let hour = async {
            self.seams.clock.sleep(Duration::from_secs(3_600)).await;
            shutdown.cancel();
        };
        let (ran, ()) = futures_util::join!(pipeline.run(shutdown.clone()), hour);
        ran.expect("subscribed");
    }

    fn seen_numbers(&self) -> Vec<String> {
        self.seen.lock().unwrap().iter().map(|(order, _)| order.number.clone()).collect()
    }

    /// Everything that waits on a destination.
    async fn waiting(&self, destination: Destination) -> Vec<Delivery> {
        let subscription = Subscription::to(destination);
        let receiver = self.front.bus().subscribe(&subscription, SubscribeOptions::default()).await.expect("declared");
        let mut into = Vec::new();
        while self.seams.clock.timeout(Duration::from_secs(1), receiver.receive(100, &mut into)).await.is_some() {}
        into
    }

    async fn dead(&self) -> Vec<Message> {
        let dead = self.waiting(self.orders.dead_letters().expect("fits")).await;
        dead.into_iter().map(|delivery| delivery.message().clone()).collect()
    }

    async fn dead_reason(&self) -> String {
        let dead = self.dead().await;
        assert_eq!(dead.len(), 1, "{dead:?}");
        dead[0].headers().text(dead_letter::REASON).expect("a reason").to_owned()
    }
}

#[tokio::test(start_paused = true)]
async fn a_published_value_is_handled_as_the_same_value_with_its_key_and_content_type() {
    let desk = Desk::new().await;
    desk.front.publish_json(&desk.orders, key("ORD-1"), &order("1")).await.expect("accepted");
    desk.front.publish_json(&desk.orders, None, &order("2")).await.expect("accepted");
    desk.run(desk.front.subscribe_json(desk.subscription(), desk.notes())).await;
    let seen = desk.seen.lock().unwrap();
    let [(first, keyed), (second, keyless)] = &seen[..] else { panic!("{seen:?}") };
    assert_eq!((first, second), (&order("1"), &order("2")));
    assert_eq!(keyed.message().key(), Some(&key("ORD-1")));
    assert_eq!(keyed.message().content_type(), Some("application/json"));
    assert!(!keyed.message().is_foreign());
    assert_eq!(keyless.message().key(), None);
    assert_ne!(keyed.message_id(), keyless.message_id());
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_body_is_quarantined_at_once_with_its_bytes_and_the_reason_and_the_next_one_flows() {
    let desk = Desk::new().await;
    let id = desk.publish_raw(b"{\"number\":\"1\",\"quantity\":\"\xff\"}", Some("application/json")).await;
    desk.front.publish_json(&desk.orders, key("one"), &order("2")).await.expect("accepted");
    desk.run(desk.front.subscribe_json(desk.subscription(), desk.notes())).await;
    assert_eq!(desk.seen_numbers(), ["2"]);
    let dead = desk.dead().await;
    assert_eq!(dead.len(), 1, "{dead:?}");
    assert_eq!((dead[0].id(), &dead[0].body()[..]), (&id, &b"{\"number\":\"1\",\"quantity\":\"\xff\"}"[..]));
    let header = |name| dead[0].headers().text(name);
    let reason = "cannot read typed::Order: decode json: line 1, column 27: invalid unicode code point";
    assert_eq!(header(dead_letter::REASON), Some(reason));
    assert_eq!(header(dead_letter::RECEIVE_COUNT), Some("1"), "no retry");
    assert_eq!(header(dead_letter::DESTINATION), Some("orders"));
}

#[tokio::test(start_paused = true)]
async fn a_readable_body_of_another_content_type_is_quarantined_and_one_without_is_read() {
    let desk = Desk::new().await;
    let body = serde_json::to_vec(&order("1")).expect("JSON");
    desk.publish_raw(&body, Some("application/x-protobuf")).await;
    let body = serde_json::to_vec(&order("2")).expect("JSON");
    desk.publish_raw(&body, None).await;
    desk.run(desk.front.subscribe_json(desk.subscription(), desk.notes())).await;
    assert_eq!(desk.seen_numbers(), ["2"]);
    let reason = "cannot read typed::Order: the content type is \"application/x-protobuf\", not application/json";
    assert_eq!(desk.dead_reason().await, reason);
}

#[tokio::test(start_paused = true)]
async fn a_long_fault_is_cut_and_keeps_its_place() {
    let desk = Desk::new().await;
    let body = format!("{{\"number\":\"1\",\"quantity\":\"{}\"}}", "가".repeat(1_000));
    desk.publish_raw(body.as_bytes(), None).await;
    desk.run(desk.front.subscribe_json(desk.subscription(), desk.notes())).await;
    let reason = desk.dead_reason().await;
    assert!(reason.len() <= REASON_BYTES_MAX && reason.ends_with("가…"), "{reason}");
    let start = "cannot read typed::Order: decode json: line 1, column 3027: invalid type: string \"가";
    assert!(reason.starts_with(start), "{reason}");
}

/// Refuses every second number, to see where refusals land.
#[derive(Serialize)]
struct Even(#[serde(serialize_with = "even")] u32);

fn even<S: serde::Serializer>(number: &u32, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    match number % 2 {
        0 => serializer.serialize_u32(*number),
        _ => Err(serde::ser::Error::custom("odd")),
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_answered_per_value_and_what_has_no_bytes_is_refused_alone() {
    let desk = Desk::new().await;
    let values = (1..=5).map(|number| (None, Even(number)));
    let outcomes = desk.front.publish_all_json(&desk.orders, values).await;
    let is_accepted: Vec<bool> = outcomes.iter().map(PublishOutcome::is_accepted).collect();
    assert_eq!(is_accepted, [false, true, false, true, false]);
    let kinds = outcomes.into_iter().filter_map(|outcome| outcome.into_result().err()).map(|error| error.kind());
    assert_eq!(kinds.collect::<Vec<_>>(), [ErrorKind::Invalid; 3]);
    let waiting = desk.waiting(desk.orders.clone()).await;
    let bodies: Vec<&[u8]> = waiting.iter().map(|delivery| &delivery.message().body()[..]).collect();
    assert_eq!(bodies, [b"2", b"4"]);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_an_error_of_its_own_kind_that_names_the_message() {
    let desk = Desk::new().await;
    let nowhere = Destination::new("nowhere").expect("a legal name");
    let error = desk.front.publish_json(&nowhere, None, &order("1")).await.expect_err("never declared");
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("message_id="), "{error}");
}

#[test]
fn an_answer_that_never_came_is_a_timeout_whatever_kept_it() {
    for kind in [ErrorKind::Unavailable, ErrorKind::Unexpected, ErrorKind::Timeout] {
        let error = PublishOutcome::Unknown(Error::new(kind, "publish", "cut")).into_result().expect_err("unknown");
        assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Timeout, true), "{kind:?}");
        assert!(error.to_string().contains("cut"), "{error}");
    }
}

/// Text as it is.
#[derive(Clone, Copy)]
struct Plain;

impl Codec for Plain {
    fn content_type(&self) -> &'static str {
        "text/plain"
    }

    fn understands(&self, content_type: &str) -> bool {
        content_type == "text/plain"
    }
}

impl Encode<str> for Plain {
    fn encode(&self, value: &str) -> Result<Bytes> {
        Ok(Bytes::copy_from_slice(value.as_bytes()))
    }
}

impl Decode<String> for Plain {
    fn decode(&self, body: &[u8]) -> Result<String> {
        let text = String::from_utf8(body.to_vec());
        text.map_err(|fault| Error::new(ErrorKind::Invalid, "decode text", fault.to_string()))
    }
}

#[tokio::test(start_paused = true)]
async fn any_codec_takes_the_place_of_json() {
    let desk = Desk::new().await;
    desk.front.publish(&Plain, &desk.orders, None, "two").await.expect("accepted");
    let seen = Arc::clone(&desk.seen);
    let handler = move |text: String, envelope: Envelope| {
        seen.lock().unwrap().push((order(&text), envelope));
        async { Ok(()) }
    };
    desk.run(desk.front.subscribe(Plain, desk.subscription(), handler)).await;
    assert_eq!(desk.seen_numbers(), ["two"]);
    assert_eq!(desk.seen.lock().unwrap()[0].1.message().content_type(), Some("text/plain"));
}

/// A handler that is a type.
struct Noting(Arc<Mutex<Vec<(Order, Envelope)>>>);

#[async_trait]
impl TypedHandler<Order> for Noting {
    async fn handle(&self, value: Order, envelope: Envelope) -> Handled {
        self.0.lock().unwrap().push((value, envelope));
        Ok(())
    }
}

/// Notes every answer that passes.
struct Answers(Arc<Mutex<Vec<Handled>>>);

#[async_trait]
impl Middleware for Answers {
    async fn handle(&self, envelope: Envelope, next: &dyn Handler) -> Handled {
        let answer = next.handle(envelope).await;
        self.0.lock().unwrap().push(answer.clone());
        answer
    }
}

#[tokio::test(start_paused = true)]
async fn middleware_around_a_typed_handler_sees_values_and_quarantines_pass() {
    let desk = Desk::new().await;
    desk.publish_raw(b"", None).await;
    desk.front.publish_json(&desk.orders, key("one"), &order("2")).await.expect("accepted");
    let answers = Arc::new(Mutex::new(Vec::new()));
    let handler = Decoding::new(Json, Noting(Arc::clone(&desk.seen))).with(Answers(Arc::clone(&answers)));
    let bus = Arc::clone(desk.front.bus());
    desk.run(Pipeline::new(bus, desk.subscription(), Arc::new(handler), desk.seams.clone())).await;
    assert_eq!(desk.seen_numbers(), ["2"]);
    let reason = "cannot read typed::Order: decode json: line 1, column 0: EOF while parsing a value";
    assert_eq!(*answers.lock().unwrap(), [Err(Failure::Reject(reason.to_owned())), Ok(())]);
}

/// An inbox that keeps its effects.
#[derive(Default)]
struct Ledger(Mutex<BTreeMap<MessageId, u32>>);

#[async_trait]
impl Attempts for Ledger {
    async fn begin(&self, _: &Subscription, messages: &[MessageId]) -> Result<Vec<Begun>> {
        Ok(messages.iter().map(|_| Begun::Attempt(1)).collect())
    }

    async fn forgive(&self, _: &Subscription, _: &[MessageId]) -> Result<()> {
        Ok(())
    }

    async fn forget(&self, _: &Subscription, _: &MessageId) -> Result<()> {
        Ok(())
    }
}

#[async_trait]
impl Inbox for Ledger {
    type Effects = u32;

    async fn commit(&self, parts: Parts<u32>) -> Result<Committed> {
        let known = self.0.lock().unwrap().insert(parts.message_id, parts.effects);
        Ok(if known.is_some() { Committed::Duplicate } else { Committed::Applied })
    }
}

/// Books the quantity of each order.
struct Booking;

#[async_trait]
impl TypedUnitHandler<Order, u32> for Booking {
    async fn handle(&self, value: Order, _: &Envelope, unit: &mut UnitOfWork<u32>) -> Handled {
        unit.effects = value.quantity;
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_typed_unit_handler_fills_the_unit_the_idempotent_receiver_commits() {
    let desk = Desk::new().await;
    let outgoing = desk.front.outgoing_json(&desk.orders, None, &order("1")).expect("JSON");
    desk.publish_raw(b"?", None).await;
    assert!(desk.front.bus().publish_one(outgoing.clone()).await.is_accepted());
    let ledger = Arc::new(Ledger::default());
    let handler = IdempotentReceiver::new(Arc::clone(&ledger), Decoding::new(Json, Booking));
    let bus = Arc::clone(desk.front.bus());
    desk.run(Pipeline::new(bus, desk.subscription(), Arc::new(handler), desk.seams.clone())).await;
    let expected = BTreeMap::from([(outgoing.message().id().clone(), 2)]);
    assert_eq!(*ledger.0.lock().unwrap(), expected, "the unreadable one has no effect and no mark");
    assert!(desk.dead_reason().await.starts_with("cannot read typed::Order"));
}
