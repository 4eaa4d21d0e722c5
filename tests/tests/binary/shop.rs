//! A customer of a running installation.

use serde_json::{Value, json};
use tests::orders::Site;

/// The recorded order.
pub(crate) fn recorded() -> Value {
    json!({"customerName": "동기화테스트", "productName": "SyncEventListener 검증", "quantity": 2, "price": "45000.00"})
}

pub(crate) fn number(order: &Value) -> &str {
    order["orderNumber"].as_str().expect("an order")
}

/// Whether the consumer shows the order as the producer does, with its result acknowledged.
pub(crate) async fn is_settled(site: &Site, number: &str, status: &str) -> bool {
    let order = site.get(&site.producer(&format!("/api/orders/{number}"))).await;
    let copy = site.get(&site.consumer(&format!("/api/synced-orders/{number}"))).await;
    let processed = site.get(&site.consumer(&format!("/api/processed-orders/{number}"))).await;
    let [Some(order), Some(copy), Some(processed)] = [order, copy, processed] else { return false };
    order["status"] == status && copy["status"] == status && processed["resultAcknowledged"] == true
}

pub(crate) async fn settled(site: &Site, number: &str, status: &str) {
    site.eventually("the order is settled", async || is_settled(site, number, status).await).await;
}

/// Places the recorded order and waits until both sides have it completed.
pub(crate) async fn completed(site: &Site, key: &str) -> Value {
    let order = site.place(key, &recorded()).await;
    settled(site, number(&order), "COMPLETED").await;
    order
}
