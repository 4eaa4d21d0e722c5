//! What every broker is shown: the recorded order, and messages of a foreign client beside our own.

use serde_json::{Value, json};

use super::{Place, Site};

/// What a foreign client sends to the order queue that is no JSON.
pub const BROKEN_ORDER: &str = "{\"orderNumber\": \"ORD-BROKEN\"";
/// What it sends to the sync queue that is no JSON.
pub const BROKEN_EVENT: &str = "not json";

const FOREIGN_ORDERS: [&str; 2] = ["ORD-FOREIGN-1", "ORD-FOREIGN-2"];

/// Two orders of a foreign client, something broken between them.
#[must_use]
pub fn foreign_orders() -> [String; 3] {
    let [one, two] = FOREIGN_ORDERS.map(|number| order(number).to_string());
    [one, BROKEN_ORDER.to_owned(), two]
}

/// Events of a foreign client: of an order nobody knows, of an unknown type, and something broken.
#[must_use]
pub fn foreign_events() -> [String; 3] {
    [event("ORDER_UPDATED", "ORD-NOBODY"), event("INVOICE_SENT", "ORD-1"), BROKEN_EVENT.to_owned()]
}

fn order(number: &str) -> Value {
    json!({"orderNumber": number, "customerName": "foreign", "productName": "tea", "quantity": 3, "price": 10.5})
}

fn event(kind: &str, key: &str) -> String {
    json!({
        "eventType": kind, "sourceService": "producer", "targetService": "consumer", "entityKey": key,
        "entityType": "ORDER", "timestamp": "2025-09-01T00:51:07.372875", "messageId": format!("foreign-{kind}-{key}"),
    })
    .to_string()
}

/// Asserts that `dead` is the one dead letter of `queue`: its body as it was sent, with its provenance
/// in the broker's own metadata, which the foreign client shows under `metadata`.
///
/// # Panics
/// When it is not.
pub fn is_kept_as_sent(dead: &[Value], metadata: &str, queue: &str, body: &str) {
    assert_eq!(dead.len(), 1, "{dead:?}");
    assert_eq!(dead[0]["body"], body, "the body is unchanged");
    assert_eq!(dead[0][metadata]["x-dead-letter-destination"], *queue, "{dead:?}");
    assert!(dead[0][metadata]["x-dead-letter-reason"].is_string(), "{dead:?}");
}

impl Place {
    /// Places the recorded order and follows it to its end on both sides, in the books and in the log.
    ///
    /// # Panics
    /// When one of them does not show it.
    pub async fn follows_the_recorded_order(&self) {
        let body = json!({"customerName": "동기화테스트", "productName": "SyncEventListener 검증", "quantity": 2, "price": "45000.00"});
        let order = self.site.place("recorded", &body).await;
        let number = order["orderNumber"].as_str().expect("an order");
        let paths = [
            self.site.producer(&format!("/api/orders/{number}")),
            self.site.consumer(&format!("/api/synced-orders/{number}")),
        ];
        self.site
            .eventually("the order is settled on both sides", async || all_completed(&self.site, &paths).await)
            .await;
        let said = self.site.ask(&["verify", "--settle", "20s"]);
        assert_eq!(said.code, 0, "{said:?}");
        for event in ["order_published", "order_received", "payment_done", "completion_published", "order_synced"] {
            assert!(!self.events(event).is_empty(), "{event} is not in the log: {}", self.site.log_tail());
        }
    }

    /// Places further orders, many at a time, and waits until both sides agree on all of them and the
    /// recorded one.
    ///
    /// # Panics
    /// When they do not.
    pub async fn takes_many_more(&self, count: usize) {
        self.place_orders(count).join_all().await;
        self.all_completed().await;
        let said = self.site.ask(&["verify", "--settle", "30s"]);
        let expected = format!("equal: {} orders", count + 1);
        assert!(said.code == 0 && said.stdout.contains(&expected), "{said:?}");
    }

    /// Waits until everything of [`foreign_orders`] and [`foreign_events`] that can be read is dealt with,
    /// and an order of our own beside it; `verify` tells the two foreign orders apart.
    ///
    /// # Panics
    /// When it does not.
    pub async fn deals_with_foreign_messages(&self) {
        let own = self.site.place("own", &order("ignored")).await;
        let own = own["orderNumber"].as_str().expect("an order");
        let processed = |number: &str| self.site.consumer(&format!("/api/processed-orders/{number}"));
        let paths = [processed(FOREIGN_ORDERS[0]), processed(FOREIGN_ORDERS[1]), processed(own)];
        self.site
            .eventually("foreign orders and our own are processed", async || {
                let is_told =
                    ["unknown_event_type", "order_not_found"].iter().all(|event| !self.events(event).is_empty());
                is_told && all_completed(&self.site, &paths).await
            })
            .await;
        let said = self.site.ask(&["verify", "--settle", "20s"]);
        assert_eq!((said.code, said.stdout.contains("2 foreign")), (0, true), "{said:?}");
    }
}

async fn all_completed(site: &Site, urls: &[String]) -> bool {
    for url in urls {
        if !site.get(url).await.is_some_and(|shown| shown["status"] == "COMPLETED") {
            return false;
        }
    }
    true
}
