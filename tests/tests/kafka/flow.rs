//! The recorded flow, in one process and in two.

use serde_json::{Value, json};

use tests::orders::Place;

/// The recorded order, placed and followed to its end on both sides.
async fn recorded_order(place: &Place) {
    let site = &place.site;
    let body = json!({"customerName": "동기화테스트", "productName": "SyncEventListener 검증", "quantity": 2, "price": "45000.00"});
    let order = site.place("recorded", &body).await;
    let number = order["orderNumber"].as_str().expect("an order").to_owned();
    site.eventually("the order is settled on both sides", async || {
        let paths =
            [site.producer(&format!("/api/orders/{number}")), site.consumer(&format!("/api/synced-orders/{number}"))];
        let mut is_completed = true;
        for path in paths {
            is_completed &= site.get(&path).await.is_some_and(|shown: Value| shown["status"] == "COMPLETED");
        }
        is_completed
    })
    .await;
    let said = site.ask(&["verify"]);
    assert_eq!(said.code, 0, "{said:?}");
    for event in ["order_published", "order_received", "payment_done", "completion_published", "order_synced"] {
        assert!(!place.events(event).is_empty(), "{event} is not in the log: {}", site.log_tail());
    }
}

pub(crate) async fn the_recorded_flow_runs_in_one_process() {
    let place = Place::on(&tests::brokers::url("kafka"));
    let process = place.start_ready().await;
    recorded_order(&place).await;
    place.place_orders(200).join_all().await;
    place.all_completed().await;
    let said = place.site.ask(&["verify", "--settle", "30s"]);
    assert!(said.code == 0 && said.stdout.contains("equal: 201 orders"), "{said:?}");
    assert!(process.terminate().success(), "{}", place.site.log_tail());
}

pub(crate) async fn the_recorded_flow_runs_in_two_processes() {
    let place = Place::on(&tests::brokers::url("kafka"));
    let producer = place.start(&["--role", "producer"]);
    let consumer = place.site.until_ready(place.start(&["--role", "consumer"])).await;
    recorded_order(&place).await;
    assert!(producer.terminate().success(), "{}", place.site.log_tail());
    assert!(consumer.terminate().success(), "{}", place.site.log_tail());
}
