//! What comes out, end to end.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::fake::{Side, ask, serve, verify};
use super::{order, processed, sold};

const SETTLE: Duration = Duration::from_secs(10);

/// Two sides that agree: three completed orders and a pending one, over several pages.
fn sides() -> (Side, Side) {
    let (mut producer, mut consumer) = (Side::default(), Side::default());
    for number in ["ORD-1", "ORD-2", "ORD-3"] {
        // It is listed twice because it changed while it was being listed.
        producer.add("sync/orders", order(number, "PENDING"));
        producer.add("sync/orders", order(number, "COMPLETED"));
        consumer.add("synced-orders", order(number, "COMPLETED"));
        consumer.add("processed-orders", processed(number, "COMPLETED"));
        consumer.items.insert(format!("books/{number}"), sold());
    }
    producer.add("sync/orders", order("ORD-4", "PENDING"));
    consumer.add("synced-orders", order("ORD-4", "PENDING"));
    (producer, consumer)
}

#[tokio::test]
async fn sides_that_agree_are_equal() {
    let (mut producer, consumer) = sides();
    producer.token = Some("s3cret");
    let report = verify(producer, consumer, SETTLE).await;
    assert_eq!(report.code(), 0, "{report}");
    assert_eq!(report.to_string(), "equal: 4 orders, 1 of them pending, 0 foreign\n");
    let json: Value = serde_json::from_str(&report.to_json()).expect("JSON");
    assert_eq!((&json["outcome"], &json["orderCount"]), (&json!("equal"), &json!(4)));
}

#[tokio::test]
async fn a_change_behind_the_back_of_one_side_is_named() {
    let (producer, mut consumer) = sides();
    let mut changed = order("ORD-2", "COMPLETED");
    changed["quantity"] = json!(3);
    consumer.listings.get_mut("synced-orders").expect("copies")[1] = changed.clone();
    consumer.items.insert("synced-orders/ORD-2".to_owned(), changed);
    consumer.items.insert("books/ORD-3".to_owned(), json!({}));
    let report = verify(producer, consumer, SETTLE).await;
    assert_eq!(report.code(), 1);
    let said = report.to_string();
    assert!(said.starts_with("ORD-2 quantity producer=2 consumer=3\nORD-3 books.stock "), "{said}");
    assert!(said.ends_with("different: 4 differences, 4 orders, 1 of them pending, 0 foreign\n"), "{said}");
}

#[tokio::test]
async fn what_is_on_its_way_is_read_again_until_it_agrees() {
    let late = |settle| async move {
        let (producer, mut consumer) = sides();
        consumer.listings.get_mut("synced-orders").expect("copies").remove(0);
        // Missing in two readings, as a pending order in the third, then as it should be.
        let answers = vec![Value::Null, Value::Null, order("ORD-1", "PENDING")];
        consumer.before.insert("synced-orders/ORD-1".to_owned(), answers);
        verify(producer, consumer, settle).await
    };
    assert_eq!(late(SETTLE).await.code(), 0);
    let impatient = late(Duration::from_millis(200)).await;
    assert!(impatient.to_string().starts_with("ORD-1 presence producer=yes consumer=no\n"), "{impatient}");
}

#[tokio::test]
async fn an_order_that_arrives_during_the_comparison_is_compared_too() {
    let (mut producer, mut consumer) = sides();
    producer.items.insert("sync/order/ORD-5".to_owned(), order("ORD-5", "PENDING"));
    consumer.add("synced-orders", order("ORD-5", "PENDING"));
    let report = verify(producer, consumer, SETTLE).await;
    assert_eq!(report.to_string(), "equal: 5 orders, 2 of them pending, 0 foreign\n");
}

#[tokio::test]
async fn a_foreign_order_is_listed_and_no_difference() {
    let (producer, mut consumer) = sides();
    let mut result = processed("JAVA 1", "COMPLETED");
    result["foreign"] = json!(true);
    consumer.add("processed-orders", result);
    let report = verify(producer, consumer, SETTLE).await;
    assert_eq!((report.code(), report.foreign), (0, vec!["JAVA 1".to_owned()]));
}

#[tokio::test]
async fn parked_rows_are_a_difference() {
    let (mut producer, consumer) = sides();
    producer.relay = "1 row parked";
    let report = verify(producer, consumer, SETTLE).await;
    assert_eq!(report.code(), 1);
    assert!(report.to_string().starts_with("relay producer=\"1 row parked\"\n"), "{report}");
}

#[tokio::test]
async fn a_side_that_is_too_busy_for_a_moment_is_waited_for() {
    let (mut producer, mut consumer) = sides();
    (producer.busy_count, consumer.busy_count) = (3, 3);
    assert_eq!(verify(producer, consumer, SETTLE).await.code(), 0);
    let (mut producer, consumer) = sides();
    producer.busy_count = 100;
    assert_eq!(verify(producer, consumer, SETTLE).await.code(), 2);
}

#[tokio::test]
async fn a_side_that_does_not_answer_is_named_with_what_to_do() {
    let mut servers = JoinSet::new();
    let (producer, _) = sides();
    let producer = serve(producer, &mut servers).await;
    let closed = "http://127.0.0.1:1";
    for (one, other, side) in [(closed, producer.as_str(), "producer"), (&producer, closed, "consumer")] {
        let report = ask(one, other, None, SETTLE).await;
        assert_eq!(report.code(), 2);
        let said = report.to_string();
        assert!(said.starts_with(&format!("the {side} did not answer: {closed}/readyz: ")), "{said}");
        assert!(said.contains(&format!("--{side}-url")), "{said}");
    }
}

#[tokio::test]
async fn a_wrong_token_is_no_answer() {
    let mut servers = JoinSet::new();
    let (mut producer, consumer) = sides();
    producer.token = Some("s3cret");
    let (producer, consumer) = (serve(producer, &mut servers).await, serve(consumer, &mut servers).await);
    for token in [None, Some("guess")] {
        let report = ask(&producer, &consumer, token, SETTLE).await;
        assert_eq!(report.code(), 2);
        assert!(report.to_string().contains("ORDERS_SYNC_TOKEN"), "{report}");
    }
}

#[tokio::test]
async fn two_urls_of_the_same_side_are_no_answer() {
    let mut servers = JoinSet::new();
    let (producer, _) = sides();
    let producer = serve(producer, &mut servers).await;
    let report = ask(&producer, &producer, None, SETTLE).await;
    assert_eq!(report.code(), 2);
    assert!(report.to_string().contains("is the consumer really at --consumer-url"), "{report}");
}
