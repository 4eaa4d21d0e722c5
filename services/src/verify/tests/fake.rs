//! Two fake sides: the routes of the real ones over tables that a test fills.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bus::{Clock, Moment};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use warp::Filter;
use warp::http::StatusCode;

use super::super::{Options, Report, run};

/// Items per page, whatever was asked for: a test's few orders are then several pages.
const PAGE_COUNT: usize = 2;

/// One side: what its listings and its items answer.
#[derive(Default)]
pub(super) struct Side {
    /// By listing: `sync/orders`, `synced-orders`, `processed-orders`.
    pub(super) listings: BTreeMap<&'static str, Vec<Value>>,
    /// By `listing/number`.
    pub(super) items: BTreeMap<String, Value>,
    /// Answers of an item before the one in `items`, first to last.
    pub(super) before: BTreeMap<String, Vec<Value>>,
    pub(super) relay: &'static str,
    pub(super) token: Option<&'static str>,
    /// How many requests are turned away as too many.
    pub(super) busy_count: usize,
}

impl Side {
    /// Lists an item, and answers it under its number.
    pub(super) fn add(&mut self, listing: &'static str, item: Value) {
        let number = item["orderNumber"].as_str().expect("a number").to_owned();
        let route = if listing == "sync/orders" { "sync/order" } else { listing };
        self.items.insert(format!("{route}/{number}"), item.clone());
        self.listings.entry(listing).or_default().push(item);
    }

    fn answer(&mut self, path: &str, query: &BTreeMap<String, String>, token: Option<&str>) -> (StatusCode, Value) {
        if path == "/readyz" {
            let relay = json!({ "ok": self.relay.is_empty(), "detail": self.relay });
            return (StatusCode::OK, json!({ "ready": true, "checks": { "relay": relay } }));
        }
        if self.busy_count > 0 {
            self.busy_count -= 1;
            return (StatusCode::SERVICE_UNAVAILABLE, json!({}));
        }
        let route = path.trim_start_matches("/api/");
        if let Some(expected) = self.token.filter(|_| route.starts_with("sync/"))
            && token != Some(&format!("Bearer {expected}"))
        {
            return (StatusCode::UNAUTHORIZED, json!({}));
        }
        if let Some(listing) = self.listings.get(route) {
            let place = query.get("after").or(query.get("cursor"));
            return (StatusCode::OK, page(listing, place.map_or(0, |at| at.parse().expect("our own"))));
        }
        let earlier = self.before.get_mut(route).filter(|answers| !answers.is_empty());
        let answer = earlier.map(|answers| answers.remove(0)).or_else(|| self.items.get(route).cloned());
        match answer {
            Some(answer) if !answer.is_null() => (StatusCode::OK, answer),
            _ => (StatusCode::NOT_FOUND, json!({})),
        }
    }
}

fn page(listing: &[Value], from: usize) -> Value {
    let to = listing.len().min(from + PAGE_COUNT);
    let has_more = to < listing.len();
    let cursor = if has_more { json!(to.to_string()) } else { Value::Null };
    json!({ "items": listing[from..to], "next": to, "hasMore": has_more, "nextCursor": cursor })
}

/// Time that passes as soon as somebody waits for it.
#[derive(Debug, Default)]
struct JumpingClock(Mutex<Duration>);

#[async_trait]
impl Clock for JumpingClock {
    fn wall(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }

    fn now(&self) -> Moment {
        Moment::from_origin(*self.0.lock().expect("not poisoned"))
    }

    async fn sleep_until(&self, deadline: Moment) {
        let mut now = self.0.lock().expect("not poisoned");
        *now = deadline.since_origin().max(*now);
    }
}

/// The URL of a fake side, served until the returned set is dropped.
pub(super) async fn serve(side: Side, servers: &mut JoinSet<()>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a loopback port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let side = Arc::new(Mutex::new(side));
    let routes = warp::path::full()
        .and(warp::query::<BTreeMap<String, String>>())
        .and(warp::header::optional::<String>("authorization"))
        .map(move |path: warp::path::FullPath, query, token: Option<String>| {
            let mut side = side.lock().expect("not poisoned");
            let (status, body) = side.answer(path.as_str(), &query, token.as_deref());
            warp::reply::with_status(warp::reply::json(&body), status)
        });
    servers.spawn(warp::serve(routes).incoming(listener).run());
    url
}

/// What `orders verify` says about two fake sides.
pub(super) async fn verify(producer: Side, consumer: Side, settle: Duration) -> Report {
    let mut servers = JoinSet::new();
    let producer = serve(producer, &mut servers).await;
    let consumer = serve(consumer, &mut servers).await;
    ask(&producer, &consumer, Some("s3cret"), settle).await
}

/// What `orders verify` says about these URLs.
pub(super) async fn ask(producer: &str, consumer: &str, token: Option<&str>, settle: Duration) -> Report {
    let options = Options {
        producer: producer.parse().expect("a URL"),
        consumer: consumer.parse().expect("a URL"),
        sync_token: token.map(Into::into),
        settle,
        progress: None,
    };
    run(&options, &JumpingClock::default()).await
}
