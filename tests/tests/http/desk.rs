//! A producer behind its routes: nobody relays what it writes, so the outbox can be counted.

use std::sync::Arc;

use bus::Seams;
use bus_memory::{MemoryBus, MemoryOptions};
use bytes::Bytes;
use http::{Method, StatusCode};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use services::http::{Edge, in_process};
use services::producer::{self, Producer, ProducerSettings};
use services::store::{Direction, MemoryStore, Store, Table};
use tests::world::{order_queue, sync_queue};
use tokio_util::sync::CancellationToken;

/// Where orders are accepted, and what was written there. Clones are the same desk.
#[derive(Clone)]
pub(crate) struct Desk {
    pub(crate) seams: Seams,
    pub(crate) store: Arc<MemoryStore>,
    edge: Edge,
}

pub(crate) type Answer = http::Response<Bytes>;

impl Desk {
    /// A producer on an empty store. Call it on a runtime with paused time.
    pub(crate) async fn open() -> Self {
        let seams = Seams::repeatable(Timestamp::from_second(1_756_655_436).expect("the recorded day"), 1);
        Self::on(Arc::new(MemoryStore::new()), seams, None).await
    }

    /// A producer whose sync routes ask for `token`.
    pub(crate) async fn guarded_by(token: &str) -> Self {
        let seams = Seams::repeatable(Timestamp::from_second(1_756_655_436).expect("the recorded day"), 1);
        Self::on(Arc::new(MemoryStore::new()), seams, Some(token)).await
    }

    /// A new process on the store of this one.
    pub(crate) async fn reopened(&self) -> Self {
        Self::on(Arc::clone(&self.store), self.seams.clone(), None).await
    }

    async fn on(store: Arc<MemoryStore>, seams: Seams, token: Option<&str>) -> Self {
        let settings = ProducerSettings {
            order_queue: order_queue(),
            sync_queue: sync_queue(),
            time_zone: TimeZone::UTC,
            sync_token: token.map(Into::into),
        };
        let bus = MemoryBus::new(seams.clone(), MemoryOptions::default());
        let started =
            Producer::start(bus, Arc::clone(&store) as _, seams.clone(), settings, CancellationToken::new()).await;
        let producer = started.expect("the producer starts");
        Self { seams, store, edge: producer::edge(producer) }
    }

    pub(crate) async fn call(&self, request: http::Request<Bytes>) -> Answer {
        in_process::call(&self.edge, request).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call(request(Method::GET, path, "")).await
    }

    /// The JSON of a 200.
    pub(crate) async fn read(&self, path: &str) -> Value {
        let answer = self.get(path).await;
        assert_eq!(answer.status(), StatusCode::OK, "{path}: {answer:?}");
        value(&answer)
    }

    pub(crate) async fn post(&self, body: impl Into<Bytes>) -> Answer {
        self.call(request(Method::POST, "/api/orders", body)).await
    }

    pub(crate) async fn post_under(&self, key: &str, body: impl Into<Bytes>) -> Answer {
        let mut request = request(Method::POST, "/api/orders", body);
        request.headers_mut().insert("idempotency-key", key.parse().expect("a header value"));
        self.call(request).await
    }

    /// The number of a new order.
    pub(crate) async fn place(&self) -> String {
        let answer = self.post(order("tea", 2, "1.50")).await;
        assert_eq!(answer.status(), StatusCode::CREATED, "{answer:?}");
        number(&answer)
    }

    pub(crate) async fn put_result(&self, number: &str, body: &Value) -> Answer {
        self.call(request(Method::PUT, &format!("/api/sync/order/{number}/result"), body.to_string())).await
    }

    pub(crate) async fn cancel(&self, number: &str) -> Answer {
        self.call(request(Method::POST, &format!("/api/orders/{number}/cancel"), "")).await
    }

    /// How many rows a table of the store has.
    pub(crate) async fn row_count(&self, table: Table) -> usize {
        self.store.scan(&table.all(), Direction::Forward, usize::MAX).await.expect("memory answers").len()
    }
}

/// A request with a JSON body, or without one.
pub(crate) fn request(method: Method, path: &str, body: impl Into<Bytes>) -> http::Request<Bytes> {
    let body = body.into();
    let mut builder = http::Request::builder().method(method).uri(path);
    if !body.is_empty() {
        builder = builder.header("content-type", "application/json");
    }
    builder.body(body).expect("a request")
}

pub(crate) fn order(product: &str, quantity: u32, price: &str) -> String {
    json!({"customerName": "동기화테스트", "productName": product, "quantity": quantity, "price": price}).to_string()
}

/// A result as the consumer would bring it.
pub(crate) fn result(status: &str, expected_version: u64) -> Value {
    json!({"status": status, "expectedVersion": expected_version, "processedAt": "2025-09-01T00:51:07.372875Z",
        "messageId": "646dc4b0-6c5e-4c02-bf76-032bdc36c3e4"})
}

pub(crate) fn value(answer: &Answer) -> Value {
    serde_json::from_slice(answer.body()).unwrap_or_else(|error| panic!("{error}: {answer:?}"))
}

pub(crate) fn number(answer: &Answer) -> String {
    value(answer)["orderNumber"].as_str().expect("an order").to_owned()
}

/// The problem of this status, after checking what every problem has.
#[track_caller]
pub(crate) fn problem(answer: &Answer, status: u16, context: &str) -> Value {
    assert_eq!(answer.status().as_u16(), status, "{context}: {answer:?}");
    assert_eq!(answer.headers()["content-type"], "application/problem+json", "{context}");
    let problem = value(answer);
    assert_eq!(problem["status"], status, "{context}: {problem}");
    for field in ["type", "title"] {
        assert!(problem[field].as_str().is_some_and(|text| !text.is_empty()), "{context}: {problem}");
    }
    problem
}
