//! The consumer's copies never go back, whatever the producer happens to answer.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bus::pipeline::Failure;
use bus::{BusExt, ClockExt, Message, MessageId, Outgoing, Seams, Subscription};
use bus_memory::{MemoryBus, MemoryOptions};
use bytes::Bytes;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use services::consumer::ports::{LocalBooks, Ports, StockLevels};
use services::consumer::producer_api::{Changes, HttpProducerApi, ProducerApi, PutAnswer, Transport};
use services::consumer::{self, Consumer, ConsumerParts};
use services::domain::{Order, OrderNumber};
use services::http::in_process;
use services::store::MemoryStore;
use services::wire::{OrderBody, ResultBody};
use tests::world::{consumer_settings, in_virtual_time, sync_queue};
use tokio_util::sync::CancellationToken;

const NUMBER: &str = "ORD-20250901-005036-FDBDAD7F";

/// Answers each question for an order with the next body of its script.
#[derive(Debug, Default)]
struct Scripted(Mutex<VecDeque<Value>>);

impl Scripted {
    fn next(&self) -> Option<Value> {
        self.0.lock().expect("not poisoned").pop_front()
    }
}

#[async_trait]
impl ProducerApi for Scripted {
    async fn health(&self) -> Result<(), Failure> {
        Ok(())
    }

    async fn order(&self, _: &OrderNumber) -> Result<Option<Order>, Failure> {
        let read = |body| {
            serde_json::from_value::<OrderBody>(body).expect("a body").into_order(&TimeZone::UTC).expect("an order")
        };
        Ok(self.next().map(read))
    }

    async fn changes(&self, after: u64, _: usize) -> Result<Changes, Failure> {
        Ok(Changes { items: Vec::new(), next: after, has_more: false })
    }

    async fn put_result(&self, _: &OrderNumber, _: &ResultBody) -> Result<PutAnswer, Failure> {
        Ok(PutAnswer::Applied)
    }
}

/// The same over HTTP: what a producer of another make answers is read from its text.
#[async_trait]
impl Transport for Scripted {
    async fn send(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, String> {
        let path = request.uri().path();
        let body = if path.ends_with("/health") {
            Bytes::from_static(b"Producer Sync API is running")
        } else if path.ends_with("/orders") {
            Bytes::from_static(br#"{"items": [], "next": 0, "hasMore": false}"#)
        } else {
            self.next().expect("enough script").to_string().into()
        };
        Ok(http::Response::new(body))
    }
}

fn body(version: u64, status: &str, updated_at: Option<&str>) -> Value {
    json!({
        "id": 2, "orderNumber": NUMBER, "customerName": "동기화테스트", "productName": "SyncEventListener 검증",
        "quantity": 2, "price": "45000.00", "totalAmount": "90000.00", "status": status, "statusDescription": "-",
        "createdAt": "2025-09-01T00:50:36.290933+09:00", "updatedAt": updated_at, "version": version,
        "failureReason": null,
    })
}

/// The same as the recorded producer tells it: no version, no zone.
fn recorded_body(status: &str, updated_at: Option<&str>) -> Value {
    let mut body = body(1, status, updated_at);
    body["createdAt"] = "2025-09-01T00:50:36.290933".into();
    let fields = body.as_object_mut().expect("an object");
    fields.retain(|name, _| !matches!(name.as_str(), "version" | "failureReason"));
    body
}

/// Feeds the consumer one `ORDER_UPDATED` per answer of the producer, one after the other, and shows
/// the copy after each.
fn copies_after(producer: Arc<dyn ProducerApi>, answer_count: usize) -> Vec<Value> {
    in_virtual_time(async {
        let seams = Seams::repeatable(Timestamp::from_second(1_756_655_436).expect("the recorded day"), 1);
        let bus = MemoryBus::new(seams.clone(), MemoryOptions::default());
        let store = Arc::new(MemoryStore::new());
        let books = LocalBooks::new(Arc::clone(&store) as _, StockLevels::default(), None);
        let ports = Ports::local(Arc::new(books));
        let parts = ConsumerParts {
            bus: Arc::clone(&bus) as _,
            store,
            seams: seams.clone(),
            ports,
            producer,
            middleware: Vec::new(),
        };
        let consumer = Consumer::start(parts, consumer_settings(), CancellationToken::new()).await.expect("it starts");
        let edge = consumer::edge(Arc::clone(&consumer));
        let waiting = || {
            let depth = bus.depth_now(&Subscription::to(sync_queue())).expect("declared");
            depth.ready_count + depth.delayed_count + depth.in_flight_count
        };
        let script = async {
            let mut copies = Vec::new();
            for at in 0..answer_count {
                let event = format!(r#"{{"eventType":"ORDER_UPDATED","entityKey":"{NUMBER}","messageId":"m-{at}"}}"#);
                let message = Message::foreign(MessageId::parse(&format!("b-{at}")).expect("an id"), event);
                assert!(bus.publish_one(Outgoing::new(sync_queue(), message)).await.is_accepted());
                while waiting() > 0 {
                    seams.clock.sleep(Duration::from_millis(10)).await;
                }
                let path = format!("/api/synced-orders/{NUMBER}");
                let request = http::Request::get(path).body(Bytes::new()).expect("a request");
                copies.push(serde_json::from_slice(in_process::call(&edge, request).await.body()).expect("JSON"));
            }
            let dead_letters = Subscription::to(sync_queue().dead_letters().expect("a legal name"));
            assert_eq!(bus.depth_now(&dead_letters).expect("declared").ready_count, 0);
            copies
        };
        tokio::select! {
            biased;
            copies = script => copies,
            ended = consumer.run(CancellationToken::new()) => panic!("it runs: {ended:?}"),
        }
    })
}

fn statuses(copies: &[Value]) -> Vec<&str> {
    copies.iter().map(|copy| copy["status"].as_str().unwrap_or("none")).collect()
}

#[test]
fn an_update_that_fetches_an_older_version_changes_nothing() {
    let changed = Some("2025-09-01T00:51:08.000000+09:00");
    let script = [
        body(2, "COMPLETED", changed),
        body(1, "PENDING", None),
        body(2, "CANCELLED", changed),
        body(3, "FAILED", changed),
    ];
    let copies = copies_after(Arc::new(Scripted(Mutex::new(script.into()))), 4);
    assert_eq!(statuses(&copies), ["COMPLETED", "COMPLETED", "COMPLETED", "FAILED"]);
    assert_eq!(copies[0], copies[1], "not even the time of its synchronisation");
}

#[test]
fn a_producer_without_versions_is_followed_by_its_update_times() {
    let script = [
        recorded_body("PENDING", None),
        recorded_body("COMPLETED", Some("2025-09-01T00:51:08.000001")),
        recorded_body("PENDING", None),
        recorded_body("CANCELLED", Some("2025-09-01T00:51:08")),
        recorded_body("FAILED", Some("2025-09-01T00:51:09")),
    ];
    let transport = Scripted(Mutex::new(script.into()));
    let copies = copies_after(Arc::new(HttpProducerApi::new(Arc::new(transport), None)), 5);
    assert_eq!(statuses(&copies), ["PENDING", "COMPLETED", "COMPLETED", "COMPLETED", "FAILED"]);
}
