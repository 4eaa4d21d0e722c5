//! A customer and an operator of the world: patient, and only over HTTP.

use std::time::Duration;

use bus::{ClockExt, Seams};
use bytes::Bytes;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::Network;

/// Pause between two looks at something that is expected.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(500);

/// Asks both services.
#[derive(Clone, Debug)]
pub struct Client {
    network: Network,
    seams: Seams,
}

impl Client {
    pub(super) fn new(network: Network, seams: Seams) -> Self {
        Self { network, seams }
    }

    /// Places an order under an idempotency key, again and again until it is answered.
    pub async fn place(&self, key: &str, product: &str, quantity: u32, price: &str) -> Value {
        let body =
            json!({"customerName": "동기화테스트", "productName": product, "quantity": quantity, "price": price});
        loop {
            let request = http::Request::post("/api/orders")
                .header("content-type", "application/json")
                .header("idempotency-key", key)
                .body(Bytes::from(body.to_string()))
                .expect("a request");
            match self.network.call_producer(request).await {
                Ok(response) if response.status() == StatusCode::CREATED => return read(&response),
                Ok(response) => assert!(response.status().is_server_error(), "{response:?}"),
                Err(_) => {}
            }
            self.seams.clock.sleep(LOOK_AGAIN_AFTER).await;
        }
    }

    /// Places an order like [`place`](Self::place) and answers its number.
    pub async fn order(&self, key: &str, product: &str, quantity: u32, price: &str) -> String {
        let order = self.place(key, product, quantity, price).await;
        order["orderNumber"].as_str().expect("every order has a number").to_owned()
    }

    /// Posts to the producer once.
    pub async fn post(&self, path: &str) -> Result<(StatusCode, Value), String> {
        let request = http::Request::builder().method(Method::POST).uri(path).body(Bytes::new()).expect("a request");
        self.network.call_producer(request).await.map(|response| (response.status(), read(&response)))
    }

    /// Puts a result to the producer, as a consumer would, until it is answered.
    pub async fn put_result(&self, number: &str, result: &Value) -> StatusCode {
        loop {
            let request = http::Request::put(format!("/api/sync/order/{number}/result"))
                .header("content-type", "application/json")
                .body(Bytes::from(result.to_string()))
                .expect("a request");
            if let Ok(response) = self.network.call_producer(request).await {
                return response.status();
            }
            self.seams.clock.sleep(LOOK_AGAIN_AFTER).await;
        }
    }

    /// Asks the consumer to reconcile now.
    pub async fn reconcile(&self) -> (StatusCode, Value) {
        let request = http::Request::post("/api/sync/reconcile").body(Bytes::new()).expect("a request");
        let response = self.network.call_consumer(request).await.expect("the consumer answers");
        (response.status(), read(&response))
    }

    /// Gets from the producer once.
    pub async fn producer(&self, path: &str) -> Option<Value> {
        let request = http::Request::get(path).body(Bytes::new()).expect("a request");
        let response = self.network.call_producer(request).await.ok()?;
        (response.status() == StatusCode::OK).then(|| read(&response))
    }

    /// Gets from the consumer once.
    pub async fn consumer(&self, path: &str) -> Option<Value> {
        let request = http::Request::get(path).body(Bytes::new()).expect("a request");
        let response = self.network.call_consumer(request).await.ok()?;
        (response.status() == StatusCode::OK).then(|| read(&response))
    }

    /// Asks again until there is an answer: a service may just be starting.
    pub async fn patiently(&self, ask: impl AsyncFn() -> Option<Value>) -> Value {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            self.seams.clock.sleep(LOOK_AGAIN_AFTER).await;
        }
    }

    /// Looks until both sides show `number` with `status`; `None` when that takes longer than `limit`.
    pub async fn settled(&self, number: &str, status: &str, limit: Duration) -> Option<()> {
        let settled = async {
            loop {
                let order = self.producer(&format!("/api/orders/{number}")).await;
                let copy = self.consumer(&format!("/api/synced-orders/{number}")).await;
                let processed = self.consumer(&format!("/api/processed-orders/{number}")).await;
                let acknowledged = processed.is_some_and(|processed| processed["resultAcknowledged"] == true);
                if acknowledged && [order, copy].iter().flatten().filter(|shown| shown["status"] == status).count() == 2
                {
                    return;
                }
                self.seams.clock.sleep(LOOK_AGAIN_AFTER).await;
            }
        };
        self.seams.clock.timeout(limit, settled).await
    }

    /// What the books say of an order: sums of stock moves, charges and shipments.
    pub async fn books(&self, number: &str) -> (i64, String, i64) {
        let path = format!("/api/books/{number}");
        let books = self.patiently(async || self.consumer(&path).await).await;
        let sum =
            |list: &str| books[list].as_array().into_iter().flatten().filter_map(|e| e["quantity"].as_i64()).sum();
        let payments: Vec<String> =
            books["payments"].as_array().into_iter().flatten().map(|p| p["amount"].to_string()).collect();
        (sum("stock"), payments.join(" "), sum("shipments"))
    }
}

fn read(response: &http::Response<Bytes>) -> Value {
    serde_json::from_slice(response.body()).unwrap_or(Value::Null)
}
