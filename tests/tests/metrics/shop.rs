//! Both services with their pages, on one bus and in one thread.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bus::layer::{LayerExt, Tracing};
use bus::middleware::Middleware;
use bus::pipeline::{Envelope, Handled, Handler};
use bus::{Bus, Seams, TraceContext};
use bytes::Bytes;
use http::StatusCode;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use services::consumer::ports::{LocalBooks, Ports, StockLevels};
use services::consumer::producer_api::{HttpProducerApi, Transport};
use services::consumer::{self, Consumer, ConsumerParts};
use services::http::{Edge, in_process};
use services::metrics::{CONTENT_TYPE, Page};
use services::producer::{self, Producer, ProducerSettings};
use services::store::MemoryStore;
use tests::scrape::Scrape;
use tests::world::{consumer_settings, order_queue, sync_queue};
use tokio_util::sync::CancellationToken;

pub(crate) struct Shop {
    pub(crate) seams: Seams,
    pub(crate) producer: Edge,
    pub(crate) consumer: Edge,
    /// Whether the producer can be reached from the consumer.
    pub(crate) line: Arc<Line>,
    /// The destination and the trace of each run of a handler.
    pub(crate) runs: Runs,
    services: (Arc<Producer>, Arc<Consumer>),
}

pub(crate) fn seams() -> Seams {
    Seams::repeatable(Timestamp::from_second(1_756_655_436).expect("the recorded day"), 1)
}

impl Shop {
    /// On a bus of its own making, as the binary puts it together.
    pub(crate) async fn on(bus: Arc<dyn Bus>, seams: Seams) -> Self {
        let mut page = Page::new("producer", "memory", &seams);
        let observed = page.metered(Arc::clone(&bus)).layer(Tracing::new(&seams));
        let settings = ProducerSettings {
            order_queue: order_queue(),
            sync_queue: sync_queue(),
            time_zone: TimeZone::UTC,
            sync_token: None,
        };
        let (store, draining) = (Arc::new(MemoryStore::new()), CancellationToken::new());
        let started = Producer::start(observed, store, seams.clone(), settings, draining).await;
        let producing = started.expect("the producer starts");
        producing.show_on(&mut page);
        let producer = page.serve_on(producer::router(Arc::clone(&producing)));

        let mut page = Page::new("consumer", "memory", &seams);
        let line = Arc::new(Line { edge: producer.clone(), is_cut: Mutex::new(false) });
        let store = Arc::new(MemoryStore::new());
        let books = LocalBooks::new(Arc::clone(&store) as _, StockLevels::default(), None);
        let runs = Runs::default();
        let mut middleware = page.middleware();
        middleware.push(Arc::new(runs.clone()));
        let parts = ConsumerParts {
            bus: page.metered(bus).layer(Tracing::new(&seams)),
            store,
            seams: seams.clone(),
            ports: Ports::local(Arc::new(books)),
            producer: Arc::new(HttpProducerApi::new(Arc::clone(&line) as _, None)),
            middleware,
        };
        let started = Consumer::start(parts, consumer_settings(), CancellationToken::new()).await;
        let consuming = started.expect("the consumer starts");
        consuming.show_on(&mut page);
        let consumer = page.serve_on(consumer::router(Arc::clone(&consuming)));
        Self { seams, producer, consumer, line, runs, services: (producing, consuming) }
    }

    /// Runs both services while `scenario` does.
    pub(crate) async fn alongside<T>(&self, scenario: impl Future<Output = T>) -> T {
        let (producer, consumer) = &self.services;
        tokio::select! {
            biased;
            output = scenario => output,
            () = producer.run(CancellationToken::new()) => unreachable!("the producer runs until it is dropped"),
            _ = consumer.run(CancellationToken::new()) => unreachable!("the consumer runs until it is dropped"),
        }
    }

    /// Places an order with these headers; its number.
    pub(crate) async fn place(&self, headers: &[(&'static str, &str)]) -> String {
        let body = json!({"customerName": "c", "productName": "tea", "quantity": 2, "price": "1.50"});
        let mut request = http::Request::post("/api/orders").header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = in_process::call(&self.producer, request.body(body.to_string().into()).expect("legal")).await;
        assert_eq!(answer.status(), StatusCode::CREATED, "{answer:?}");
        let order: Value = serde_json::from_slice(answer.body()).expect("JSON");
        order["orderNumber"].as_str().expect("a number").to_owned()
    }
}

/// What a side shows.
pub(crate) async fn scrape(edge: &Edge) -> Scrape {
    let request = http::Request::get("/metrics").body(Bytes::new()).expect("legal");
    let answer = in_process::call(edge, request).await;
    assert_eq!(answer.status(), StatusCode::OK, "{answer:?}");
    assert_eq!(answer.headers()["content-type"], CONTENT_TYPE);
    Scrape::read(std::str::from_utf8(answer.body()).expect("text"))
}

/// The way to the producer.
#[derive(Debug)]
pub(crate) struct Line {
    edge: Edge,
    is_cut: Mutex<bool>,
}

impl Line {
    pub(crate) fn cut(&self, is_cut: bool) {
        *self.is_cut.lock().expect("not poisoned") = is_cut;
    }
}

#[async_trait]
impl Transport for Line {
    async fn send(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, String> {
        if *self.is_cut.lock().expect("not poisoned") {
            return Err("the line is cut".to_owned());
        }
        Ok(in_process::call(&self.edge, request).await)
    }
}

/// Keeps the trace of each run of a handler.
#[derive(Clone, Default)]
pub(crate) struct Runs(Arc<Mutex<Vec<Run>>>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) destination: String,
    pub(crate) key: String,
    pub(crate) context: TraceContext,
}

impl Runs {
    /// Those for messages of this key.
    pub(crate) fn of(&self, key: &str) -> Vec<Run> {
        self.0.lock().expect("not poisoned").iter().filter(|run| run.key == key).cloned().collect()
    }
}

#[async_trait]
impl Middleware for Runs {
    async fn handle(&self, envelope: Envelope, next: &dyn Handler) -> Handled {
        let run = Run {
            destination: envelope.subscription().destination().to_string(),
            key: envelope.message().key().map(ToString::to_string).unwrap_or_default(),
            context: TraceContext::current().expect("a handler runs in a span"),
        };
        self.0.lock().expect("not poisoned").push(run);
        next.handle(envelope).await
    }
}
