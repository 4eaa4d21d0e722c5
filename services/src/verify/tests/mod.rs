//! The comparison against two fake sides on loopback sockets, in virtual settle time.

mod agreement;
mod fake;
mod outcomes;

use serde_json::{Value, json};

/// An order as the producer tells it.
fn order(number: &str, status: &str) -> Value {
    json!({
        "id": 1, "orderNumber": number, "customerName": "동기화테스트", "productName": "SyncEventListener 검증",
        "quantity": 2, "price": 45000.00, "totalAmount": 90000.00, "status": status, "statusDescription": "…",
        "createdAt": "2025-09-01T00:50:36.290933Z", "updatedAt": null,
        "version": if status == "PENDING" { 1 } else { 2 },
        "failureReason": if status == "FAILED" { json!("OUT_OF_STOCK") } else { Value::Null },
    })
}

/// What the consumer made of it.
fn processed(number: &str, status: &str) -> Value {
    json!({
        "orderNumber": number, "status": status, "version": 1, "step": "SHIPPED", "messageId": "m",
        "failureReason": if status == "FAILED" { json!("OUT_OF_STOCK") } else { Value::Null },
        "customerName": "동기화테스트", "productName": "SyncEventListener 검증", "quantity": 2,
        "price": "45000.00", "totalAmount": "90000.0", "processedAt": "2025-09-01T00:51:07Z",
        "resultAcknowledged": true, "foreign": false,
    })
}

/// The books of a completed order.
fn sold() -> Value {
    json!({
        "stock": [{ "key": "k", "productName": "SyncEventListener 검증", "quantity": -2 }],
        "payments": [{ "key": "k", "amount": 90000.00 }],
        "shipments": [{ "key": "k", "quantity": 1 }],
    })
}

/// The books of an order whose effects were taken back.
fn undone() -> Value {
    json!({
        "stock": [
            { "key": "k", "productName": "SyncEventListener 검증", "quantity": -2 },
            { "key": "c", "productName": "SyncEventListener 검증", "quantity": 2 },
        ],
        "payments": [{ "key": "k", "amount": 90000.00 }, { "key": "c", "amount": -90000.00 }],
        "shipments": [],
    })
}
