//! A result that cannot be read: its field is named, and nothing changes.

use http::Method;
use serde_json::{Value, json};
use tests::world::in_virtual_time;

use crate::desk::{Desk, problem, request, result};

#[test]
fn a_bad_result_is_refused_and_changes_nothing() {
    in_virtual_time(async {
        let desk = Desk::open().await;
        let number = desk.place().await;
        let with = |field: &str, bad: Value| {
            let mut body = result("COMPLETED", 1);
            body[field] = bad;
            body
        };
        let without = |field: &str| {
            let mut body = result("COMPLETED", 1);
            body.as_object_mut().expect("an object").remove(field);
            body
        };
        for (body, named) in [
            (with("status", json!("PENDING")), "status"),
            (with("status", json!("CANCELLED")), "status"),
            (with("status", json!("DONE")), "status"),
            (with("status", json!(null)), "status"),
            (without("status"), "status"),
            (without("expectedVersion"), "expectedVersion"),
            (with("expectedVersion", json!(null)), "expectedVersion"),
            (with("expectedVersion", json!(-1)), "expectedVersion"),
            (with("expectedVersion", json!("1")), "expectedVersion"),
            (with("expectedVersion", json!(1.5)), "expectedVersion"),
            (without("processedAt"), "processedAt"),
            (with("processedAt", json!("yesterday")), "processedAt"),
            (with("processedAt", json!("2025-13-01T00:00:00Z")), "processedAt"),
            (with("processedAt", json!(1_756_655_436)), "processedAt"),
            (with("failureReason", json!("OUT_OF_STOCK")), "failureReason"),
            (with("failureReason", json!("BAD_LUCK")), "failureReason"),
            (without("messageId"), "messageId"),
            (with("messageId", json!("")), "messageId"),
            (with("messageId", json!(7)), "messageId"),
        ] {
            let problem = problem(&desk.put_result(&number, &body).await, 422, &body.to_string());
            assert_eq!(problem["errors"][0]["field"], named, "{body}: {problem}");
        }
        for other in [json!([]), json!(["COMPLETED", 1, "2025-09-01T00:51:07Z", null, "m"]), json!(null)] {
            problem(&desk.put_result(&number, &other).await, 422, "no object");
        }
        let broken = request(Method::PUT, &format!("/api/sync/order/{number}/result"), "{\"status\":");
        problem(&desk.call(broken).await, 400, "cut off");
        assert_eq!(desk.read(&format!("/api/orders/{number}")).await["version"], 1);
    });
}
