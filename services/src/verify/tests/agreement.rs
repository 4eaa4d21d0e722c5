//! The rules, field by field and status by status.

use serde_json::{Value, from_value, json};

use super::super::compare::{Finding, compare};
use super::super::reading::{Books, Reading};
use super::{order, processed, sold, undone};

const NUMBER: &str = "ORD-1";

fn reading(order: Option<Value>, copy: Option<Value>, processed: Option<Value>, books: Value) -> Reading {
    Reading {
        order_number: NUMBER.to_owned(),
        order: order.map(|value| from_value(value).expect("an order")),
        copy: copy.map(|value| from_value(value).expect("a copy")),
        processed: processed.map(|value| from_value(value).expect("a result")),
        books: from_value::<Books>(books).expect("books"),
    }
}

/// Both sides at `status`, with everything that belongs to it.
fn agreeing(status: &str) -> Reading {
    let (result, books) = match status {
        "PENDING" => (None, json!({})),
        "COMPLETED" => (Some(processed(NUMBER, status)), sold()),
        _ => (Some(processed(NUMBER, status)), undone()),
    };
    reading(Some(order(NUMBER, status)), Some(order(NUMBER, status)), result, books)
}

#[track_caller]
fn differs(reading: &Reading, lines: &[&str]) {
    let Finding::Different(found) = compare(reading) else { panic!("no difference, but expected {lines:?}") };
    let found: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert_eq!(found, lines);
}

#[test]
fn every_status_can_agree() {
    for status in ["COMPLETED", "FAILED", "CANCELLED"] {
        assert_eq!(compare(&agreeing(status)), Finding::Equal, "{status}");
    }
    assert_eq!(compare(&agreeing("PENDING")), Finding::Pending);
    let mut taken_up = processed(NUMBER, "PENDING");
    taken_up["status"] = Value::Null;
    let processed = reading(None, None, Some(taken_up), json!({})).processed;
    assert_eq!(compare(&Reading { processed, ..agreeing("PENDING") }), Finding::Pending);
    let untouched = Reading { processed: None, books: Books::default(), ..agreeing("CANCELLED") };
    assert_eq!(compare(&untouched), Finding::Equal);
}

#[test]
fn every_field_of_the_copy_is_compared() {
    let check = |key: &str, value: Value, line: &str| {
        let mut copy = order(NUMBER, "COMPLETED");
        copy[key] = value;
        let copy = reading(None, Some(copy), None, json!({})).copy;
        differs(&Reading { copy, ..agreeing("COMPLETED") }, &[line]);
    };
    check("version", json!(3), "ORD-1 version producer=2 consumer=3");
    check("status", json!("PENDING"), "ORD-1 status producer=COMPLETED consumer=PENDING");
    check("customerName", json!("김 철수"), "ORD-1 customer producer=동기화테스트 consumer=\"김 철수\"");
    check("productName", json!("x"), "ORD-1 product producer=\"SyncEventListener 검증\" consumer=x");
    check("quantity", json!(3), "ORD-1 quantity producer=2 consumer=3");
    check("price", json!(45000.01), "ORD-1 price producer=45000.0 consumer=45000.01");
    check("totalAmount", json!("lots"), "ORD-1 total producer=90000.0 consumer=lots");
    check("failureReason", json!("OUT_OF_STOCK"), "ORD-1 reason producer=none consumer=OUT_OF_STOCK");
    check("price", Value::Null, "ORD-1 price producer=45000.0 consumer=none");
}

#[test]
fn timestamps_and_spelling_of_numbers_are_no_difference() {
    let mut copy = order(NUMBER, "COMPLETED");
    copy["updatedAt"] = json!("2030-01-01T00:00:00Z");
    copy["price"] = json!("45000.00");
    let copy = reading(None, Some(copy), None, json!({})).copy;
    assert_eq!(compare(&Reading { copy, ..agreeing("COMPLETED") }), Finding::Equal);
}

#[test]
fn a_missing_copy_is_a_difference() {
    differs(&Reading { copy: None, ..agreeing("PENDING") }, &["ORD-1 presence producer=yes consumer=no"]);
}

#[test]
fn the_result_must_fit_the_status() {
    let check = |status: &str, result: Option<&str>, line: &str| {
        let processed = reading(None, None, result.map(|result| processed(NUMBER, result)), json!({})).processed;
        differs(&Reading { processed, ..agreeing(status) }, &[line]);
    };
    check("PENDING", Some("COMPLETED"), "ORD-1 result producer=PENDING consumer=COMPLETED");
    check("COMPLETED", None, "ORD-1 result producer=COMPLETED consumer=none");
    check("COMPLETED", Some("FAILED"), "ORD-1 result producer=COMPLETED consumer=FAILED");
    check("FAILED", Some("COMPLETED"), "ORD-1 result producer=FAILED consumer=COMPLETED");
    check("FAILED", None, "ORD-1 result producer=FAILED consumer=none");
    check("CANCELLED", Some("COMPLETED"), "ORD-1 result producer=CANCELLED consumer=COMPLETED");
}

#[test]
fn what_was_processed_must_be_what_was_ordered() {
    let check = |status: &str, key: &str, value: Value, line: &str| {
        let mut result = processed(NUMBER, status);
        result[key] = value;
        let processed = reading(None, None, Some(result), json!({})).processed;
        differs(&Reading { processed, ..agreeing(status) }, &[line]);
    };
    check("COMPLETED", "quantity", json!(1), "ORD-1 result.quantity producer=2 consumer=1");
    check("COMPLETED", "price", json!("1"), "ORD-1 result.price producer=45000.0 consumer=1");
    check("COMPLETED", "totalAmount", json!(1), "ORD-1 result.total producer=90000.0 consumer=1");
    check(
        "COMPLETED",
        "productName",
        json!("x"),
        "ORD-1 result.product producer=\"SyncEventListener 검증\" consumer=x",
    );
    let reason = "ORD-1 result.reason producer=OUT_OF_STOCK consumer=PAYMENT_DECLINED";
    check("FAILED", "failureReason", json!("PAYMENT_DECLINED"), reason);
}

#[test]
fn a_completed_order_has_one_entry_each() {
    let check = |key: &str, entries: Value, line: &str| {
        let mut books = sold();
        books[key] = entries;
        let books = from_value(books).expect("books");
        differs(&Reading { books, ..agreeing("COMPLETED") }, &[line]);
    };
    let moved = |quantity: i32, product: &str| json!({ "key": "k", "productName": product, "quantity": quantity });
    let stock = "ORD-1 books.stock producer=\"-2 SyncEventListener 검증\"";
    check("stock", json!([]), &format!("{stock} consumer=none"));
    check("stock", json!([moved(-2, "x")]), &format!("{stock} consumer=\"-2 x\""));
    check(
        "stock",
        json!([moved(-1, "SyncEventListener 검증")]),
        &format!("{stock} consumer=\"-1 SyncEventListener 검증\""),
    );
    let charged = json!({ "key": "k", "amount": "90000.00" });
    let charge = "ORD-1 books.charge producer=90000.0";
    check("payments", json!([charged, charged]), &format!("{charge} consumer=\"90000.00, 90000.00\""));
    check("payments", json!([{ "key": "k", "amount": 1 }]), &format!("{charge} consumer=1"));
    check("shipments", json!([]), "ORD-1 books.shipment producer=1 consumer=none");
}

#[test]
fn a_failed_or_cancelled_order_leaves_nothing_behind() {
    for status in ["FAILED", "CANCELLED"] {
        let books = from_value(sold()).expect("books");
        differs(
            &Reading { books, ..agreeing(status) },
            &[
                "ORD-1 books.stock producer=0 consumer=\"-2 SyncEventListener 검증\"",
                "ORD-1 books.charge producer=0 consumer=90000.0",
                "ORD-1 books.shipment producer=0 consumer=1",
            ],
        );
        // Two products that cancel out in number do not cancel out.
        let mixed = json!({ "stock": [{ "productName": "a", "quantity": -2 }, { "productName": "b", "quantity": 2 }] });
        let books = from_value(mixed).expect("books");
        differs(&Reading { books, ..agreeing(status) }, &["ORD-1 books.stock producer=0 consumer=\"-2 a, 2 b\""]);
    }
}

#[test]
fn an_order_from_elsewhere_is_foreign_but_a_lost_one_is_a_difference() {
    let lost = ["ORD-1 presence producer=no consumer=yes"];
    let result = |acknowledged: bool, foreign: bool| {
        let mut result = processed(NUMBER, "COMPLETED");
        result["resultAcknowledged"] = json!(acknowledged);
        result["foreign"] = json!(foreign);
        reading(None, None, Some(result), sold())
    };
    assert_eq!(compare(&result(false, false)), Finding::Foreign);
    assert_eq!(compare(&result(true, true)), Finding::Foreign);
    differs(&result(true, false), &lost);
    differs(&reading(None, Some(order(NUMBER, "PENDING")), None, json!({})), &lost);
    let mut flagged = order(NUMBER, "PENDING");
    flagged["foreign"] = json!(true);
    assert_eq!(compare(&reading(None, Some(flagged), None, json!({}))), Finding::Foreign);
}
