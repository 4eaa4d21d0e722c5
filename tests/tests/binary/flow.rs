//! The recorded flow, from `curl` to both sides, and in the log.

use reqwest::StatusCode;
use serde_json::Value;
use tests::orders::Site;

use crate::shop::{number, recorded, settled};

const RECORDED_STEPS: [&str; 14] = [
    "order_requested",
    "order_stored",
    "order_published",
    "sync_published",
    "order_received",
    "processing_started",
    "stock_checked",
    "payment_done",
    "shipping_ready",
    "order_processed",
    "completion_published",
    "sync_received",
    "producer_healthy",
    "order_synced",
];

#[tokio::test]
async fn the_recorded_order_is_completed_on_both_sides_and_verified() {
    let site = Site::new();
    let _process = site.start_ready(&[]).await;
    let posted = site.client().post(site.producer("/api/orders")).json(&recorded()).send().await.expect("an answer");
    assert_eq!(posted.status(), StatusCode::CREATED);
    let location = posted.headers()["location"].to_str().expect("ASCII").to_owned();
    let text = posted.text().await.expect("a body");
    for part in [
        r#""id":1,"#,
        r#""customerName":"동기화테스트""#,
        r#""price":45000.00"#,
        r#""totalAmount":90000.00"#,
        r#""status":"PENDING""#,
        r#""statusDescription":"대기중""#,
        r#""updatedAt":null"#,
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    let order: Value = serde_json::from_str(&text).expect("JSON");
    let number = number(&order);
    assert_eq!(location, format!("/api/orders/{number}"));
    settled(&site, number, "COMPLETED").await;

    let shown = site.get(&site.producer(&location)).await.expect("the order");
    assert_eq!((&shown["version"], &shown["statusDescription"]), (&2.into(), &"처리완료".into()), "{shown}");
    let books = site.get(&site.consumer(&format!("/api/books/{number}"))).await.expect("the books");
    let keys =
        ["stock", "payments", "shipments"].map(|list| books[list][0]["key"].as_str().unwrap_or("none").to_owned());
    assert_eq!(keys, ["STOCK_RESERVED", "PAID", "SHIPPED"].map(|step| format!("{number}:{step}")), "{books}");

    let verified = site.ask(&["verify"]);
    assert_eq!((verified.code, verified.stdout.contains("equal: 1 orders")), (0, true), "{verified:?}");
    let verified = site.ask(&["verify", "--json"]);
    let report: Value = serde_json::from_str(&verified.stdout).expect("JSON");
    assert_eq!((verified.code, &report["outcome"], &report["orderCount"]), (0, &"equal".into(), &1.into()), "{report}");
}

#[tokio::test]
async fn the_log_tells_the_recorded_steps_of_an_order_in_order() {
    let site = Site::new();
    let _process = site.start_ready(&[]).await;
    let order = site.place("key", &recorded()).await;
    let number = number(&order);
    settled(&site, number, "COMPLETED").await;
    let events = || -> Vec<String> {
        let of_order = |line: &Value| line["order_number"] == number;
        let lines = site.log_lines().into_iter().filter(of_order);
        lines.filter_map(|line| line["event"].as_str().map(ToOwned::to_owned)).collect()
    };
    // The last line of an order is written after its effect can be seen.
    site.eventually("the last copy is told", async || {
        events().iter().filter(|event| *event == "order_synced").count() >= 2
    })
    .await;
    let events = events();
    // The first event about the new order comes while it is processed; what follows the completion counts.
    let completed = events.iter().position(|event| event == "completion_published").expect("completed");
    let mut from = 0;
    for step in RECORDED_STEPS {
        if step == "sync_received" {
            from = completed;
        }
        let at = events[from..].iter().position(|event| event == step);
        from += at.unwrap_or_else(|| panic!("{step} does not come after the steps before it: {events:?}")) + 1;
    }
    for line in site.log_lines() {
        assert!(line["timestamp"].is_string() && line["level"].is_string() && line["message"].is_string(), "{line}");
        assert!(line["level"] == "INFO" || line["level"] == "DEBUG", "nothing to warn of: {line}");
    }
}

#[tokio::test]
async fn an_order_that_cannot_be_paid_or_delivered_fails_with_its_reason() {
    let site = Site::new();
    let file = "[stock]\nrare = 1\n\n[payment]\nlimit = \"1000.00\"\n";
    std::fs::write(site.directory().join("orders.toml"), file).expect("written");
    let _process = site.start_ready(&[]).await;
    for (product, quantity, reason) in [("rare", 2, "OUT_OF_STOCK"), ("tea", 11, "PAYMENT_DECLINED")] {
        let mut body = recorded();
        (body["productName"], body["quantity"], body["price"]) = (product.into(), quantity.into(), "100.00".into());
        let order = site.place(product, &body).await;
        settled(&site, number(&order), "FAILED").await;
        let shown = site.get(&site.producer(&format!("/api/orders/{}", number(&order)))).await.expect("the order");
        assert_eq!((&shown["failureReason"], &shown["statusDescription"]), (&reason.into(), &"처리실패".into()));
    }
    assert_eq!(site.ask(&["verify"]).code, 0);
    let books = site.get(&site.consumer("/api/books")).await.expect("the books");
    assert_eq!(books["products"]["rare"], serde_json::json!({"initial": 1, "onHand": 1, "moved": 0}), "{books}");
    assert_eq!(books["shipped"], 0, "{books}");
}
