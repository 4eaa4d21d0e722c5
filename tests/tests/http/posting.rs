//! The recorded request and its recorded answer.

use http::StatusCode;
use services::store::Table;
use tests::world::in_virtual_time;

use crate::desk::{Desk, number, value};

const RECORDED: &str = r#"{
    "customerName": "동기화테스트",
    "productName": "SyncEventListener 검증",
    "quantity": 2,
    "price": "45000.00"
  }"#;

/// The top-level keys of a flat JSON object, in the order they are written.
fn keys(text: &str) -> Vec<&str> {
    let quoted: Vec<&str> = text.split('"').collect();
    let is_key = |at: &usize| quoted.get(at + 1).is_some_and(|after| after.starts_with(':'));
    (1..quoted.len()).step_by(2).filter(is_key).map(|at| quoted[at]).collect()
}

#[test]
fn the_recorded_request_gets_the_recorded_fields_in_the_recorded_order() {
    in_virtual_time(async {
        let desk = Desk::open().await;
        let answer = desk.post(RECORDED).await;
        assert_eq!(answer.status(), StatusCode::CREATED, "{answer:?}");
        assert_eq!(answer.headers()["content-type"], "application/json");
        assert_eq!(answer.headers()["location"], format!("/api/orders/{}", number(&answer)));
        let text = std::str::from_utf8(answer.body()).expect("JSON is text");
        let recorded = [
            "id",
            "orderNumber",
            "customerName",
            "productName",
            "quantity",
            "price",
            "totalAmount",
            "status",
            "statusDescription",
            "createdAt",
            "updatedAt",
        ];
        assert_eq!(keys(text), [&recorded[..], &["version", "failureReason"]].concat(), "{text}");
        for part in [
            r#""id":1,"#,
            r#""customerName":"동기화테스트""#,
            r#""productName":"SyncEventListener 검증""#,
            r#""quantity":2,"#,
            r#""price":45000.00,"#,
            r#""totalAmount":90000.00,"#,
            r#""status":"PENDING""#,
            r#""statusDescription":"대기중""#,
            r#""updatedAt":null"#,
            r#""version":1,"#,
            r#""failureReason":null"#,
        ] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
    });
}

#[test]
fn number_and_time_have_the_promised_forms() {
    in_virtual_time(async {
        let body = value(&Desk::open().await.post(RECORDED).await);
        let number = body["orderNumber"].as_str().expect("a text");
        let suffix = number.strip_prefix("ORD-20250831-155036-").expect("the time of the order, in UTC");
        assert!(
            suffix.len() == 8 && suffix.bytes().all(|b| b.is_ascii_digit() || (b'A'..=b'F').contains(&b)),
            "{number}"
        );
        let created_at = body["createdAt"].as_str().expect("a text");
        assert!(created_at.starts_with("2025-08-31T15:50:36.") && created_at.ends_with("+00:00"), "{created_at}");
    });
}

#[test]
fn an_accepted_order_reads_back_as_it_was_answered_on_every_route() {
    in_virtual_time(async {
        let desk = Desk::open().await;
        let answer = desk.post(RECORDED).await;
        let number = number(&answer);
        for path in [format!("/api/orders/{number}"), format!("/api/sync/order/{number}")] {
            assert_eq!(desk.get(&path).await.body(), answer.body(), "{path}");
        }
        for path in ["/api/orders", "/api/orders?status=PENDING", "/api/sync/orders"] {
            assert_eq!(desk.read(path).await["items"], serde_json::json!([value(&answer)]), "{path}");
        }
    });
}

#[test]
fn an_order_and_its_two_messages_are_written_together() {
    in_virtual_time(async {
        let desk = Desk::open().await;
        for count in 1..=3 {
            desk.place().await;
            assert_eq!(desk.row_count(Table::Orders).await, count);
            assert_eq!(desk.row_count(Table::Outbox).await, 2 * count, "an order message and an event each");
        }
    });
}

#[test]
fn a_restarted_producer_goes_on_counting_where_the_last_one_stopped() {
    in_virtual_time(async {
        let desk = Desk::open().await;
        desk.place().await;
        let answer = desk.reopened().await.post(RECORDED).await;
        assert_eq!(value(&answer)["id"], 2);
    });
}

#[test]
fn the_health_route_says_the_recorded_sentence() {
    in_virtual_time(async {
        let answer = Desk::open().await.get("/api/sync/health").await;
        assert_eq!((answer.status(), &answer.body()[..]), (StatusCode::OK, &b"Producer Sync API is running"[..]));
    });
}
