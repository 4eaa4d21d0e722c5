//! A foreign client beside ours: pika.

use serde_json::Value;
use tests::orders::Place;
use tests::orders::story::{BROKEN_EVENT, BROKEN_ORDER, foreign_events, foreign_orders, is_kept_as_sent};

fn pika(action: &[&str], lines: &[String]) -> Vec<Value> {
    tests::brokers::foreign("rabbitmq", &tests::brokers::url("rabbitmq"), action, lines)
}

/// Sends foreign orders and events beside one of our own orders, and waits for all of it.
pub(crate) async fn among_our_own(place: &Place) {
    let (orders, sync) = (place.order_queue.as_str(), place.sync_queue.as_str());
    pika(&["send", orders], &foreign_orders());
    pika(&["send", sync], &foreign_events());
    place.deals_with_foreign_messages().await;
    for (queue, body) in [(orders, BROKEN_ORDER), (sync, BROKEN_EVENT)] {
        is_kept_as_sent(&pika(&["receive", &format!("{queue}-dlq")], &[]), "headers", queue, body);
    }
}
