//! `orders verify` sees what was changed behind the back of a side, and who does not answer.

use serde_json::Value;
use services::store::{Batch, JournaledStore, Key, Store, Table, Written};
use tests::orders::Site;

use crate::shop::{completed, number};

/// Changes a row of a stopped side's store.
async fn tamper(site: &Site, side: &str, key: Key, change: impl FnOnce(&mut Value)) {
    let store = JournaledStore::open(&site.directory().join("data").join(side), "a test").expect("nobody holds it");
    let row = store.get(&key).await.expect("readable").expect("it is there");
    let mut row: Value = serde_json::from_slice(&row).expect("JSON");
    change(&mut row);
    let written = store.apply(Batch::new().put(key, row.to_string())).await.expect("written");
    assert_eq!(written, Written::Applied(Vec::new()));
    store.close().await.expect("closed");
}

/// Completes an order, lets `meddle` change a store while nobody runs, and checks what is reported.
async fn check(side: &str, key: impl Fn(&str) -> Key, meddle: impl FnOnce(&mut Value), said: &str) {
    let site = Site::new();
    let process = site.start_ready(&[]).await;
    let order = completed(&site, "key").await;
    let number = number(&order);
    assert_eq!(site.ask(&["verify"]).code, 0, "equal before");
    assert!(process.terminate().success());
    tamper(&site, side, key(number), meddle).await;
    let _process = site.start_ready(&[]).await;
    let verified = site.ask(&["verify", "--settle", "0s"]);
    assert_eq!(verified.code, 1, "{verified:?}");
    let expected = format!("{number} {said}");
    assert!(verified.stdout.contains(&expected), "{expected} is not in {}", verified.stdout);
    let report: Value = serde_json::from_str(&site.ask(&["verify", "--json", "--settle", "0s"]).stdout).expect("JSON");
    assert_eq!(
        (&report["outcome"], &report["differences"][0]["order"]),
        (&"different".into(), &number.into()),
        "{report}"
    );
}

#[tokio::test]
async fn a_copy_that_was_changed_is_named_with_its_field() {
    let copy = |number: &str| Table::Copies.key(number);
    check("consumer", copy, |row| row["order"]["quantity"] = 3.into(), "quantity producer=2 consumer=3").await;
}

#[tokio::test]
async fn a_result_that_was_changed_is_named() {
    let processed = |number: &str| Table::Processed.key(number);
    check("consumer", processed, |row| row["status"] = "FAILED".into(), "result producer=COMPLETED consumer=FAILED")
        .await;
}

#[tokio::test]
async fn an_order_that_was_changed_at_the_producer_is_named() {
    let order = |number: &str| Table::Orders.key(number);
    check(
        "producer",
        order,
        |row| row["customer_name"] = "mallory".into(),
        "customer producer=mallory consumer=동기화테스트",
    )
    .await;
}

#[tokio::test]
async fn a_charge_that_was_changed_is_named() {
    let charge = |number: &str| Table::Books.key(format!("{number}:PAID"));
    check("consumer", charge, |row| row["amount"] = 1.into(), "books.charge producer=90000.00 consumer=0.01").await;
}

#[tokio::test]
async fn a_side_that_does_not_answer_is_named() {
    let site = Site::new();
    let nobody = site.ask(&["verify"]);
    assert_eq!(nobody.code, 2, "{nobody:?}");
    assert!(
        nobody.stderr.contains("the producer did not answer") && nobody.stderr.contains("--producer-url"),
        "{nobody:?}"
    );
    let report: Value = serde_json::from_str(&site.ask(&["verify", "--json"]).stdout).expect("JSON");
    assert_eq!((&report["outcome"], &report["unanswered"]["side"]), (&"unanswered".into(), &"producer".into()));

    let elsewhere = Site::new();
    let _process = site.start_ready(&[]).await;
    let half = site.ask(&["verify", "--consumer-url", &elsewhere.consumer("")]);
    assert_eq!(half.code, 2, "{half:?}");
    assert!(half.stderr.contains("the consumer did not answer"), "{half:?}");
    let half = site.ask(&["verify", "--producer-url", &elsewhere.producer("")]);
    assert_eq!(half.code, 2, "{half:?}");
    assert!(half.stderr.contains("the producer did not answer"), "{half:?}");
}
