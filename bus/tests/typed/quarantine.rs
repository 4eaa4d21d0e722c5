//! What cannot be read, and what may look as if it could not.

use bus::dead_letter;
use bus::typed::REASON_BYTES_MAX;

use crate::desk::{Desk, key, order};

#[tokio::test(start_paused = true)]
async fn an_unreadable_body_is_quarantined_at_once_with_its_bytes_and_the_reason_and_the_next_one_flows() {
    let desk = Desk::new().await;
    let id = desk.publish_raw(b"{\"number\":\"1\",\"quantity\":\"\xff\"}", Some("application/json")).await;
    desk.front.publish_json(&desk.orders, key("one"), &order("2")).await.expect("accepted");
    desk.run(desk.front.subscribe_json(desk.subscription(), desk.notes())).await;
    assert_eq!(desk.seen_numbers(), ["2"]);
    let dead = desk.dead().await;
    assert_eq!(dead.len(), 1, "{dead:?}");
    assert_eq!((dead[0].id(), &dead[0].body()[..]), (&id, &b"{\"number\":\"1\",\"quantity\":\"\xff\"}"[..]));
    let header = |name| dead[0].headers().text(name);
    let reason = "cannot read typed::desk::Order: decode json: line 1, column 27: invalid unicode code point";
    assert_eq!(header(dead_letter::REASON), Some(reason));
    assert_eq!(header(dead_letter::RECEIVE_COUNT), Some("1"), "no retry");
    assert_eq!(header(dead_letter::DESTINATION), Some("orders"));
}

#[tokio::test(start_paused = true)]
async fn a_readable_body_of_another_content_type_is_quarantined_and_one_without_is_read() {
    let desk = Desk::new().await;
    let body = serde_json::to_vec(&order("1")).expect("JSON");
    desk.publish_raw(&body, Some("application/x-protobuf")).await;
    let body = serde_json::to_vec(&order("2")).expect("JSON");
    desk.publish_raw(&body, None).await;
    desk.run(desk.front.subscribe_json(desk.subscription(), desk.notes())).await;
    assert_eq!(desk.seen_numbers(), ["2"]);
    let reason = "cannot read typed::desk::Order: the content type is \"application/x-protobuf\", not application/json";
    assert_eq!(desk.dead_reason().await, reason);
}

#[tokio::test(start_paused = true)]
async fn a_long_fault_is_cut_and_keeps_its_place() {
    let desk = Desk::new().await;
    let body = format!("{{\"number\":\"1\",\"quantity\":\"{}\"}}", "가".repeat(1_000));
    desk.publish_raw(body.as_bytes(), None).await;
    desk.run(desk.front.subscribe_json(desk.subscription(), desk.notes())).await;
    let reason = desk.dead_reason().await;
    assert!(reason.len() <= REASON_BYTES_MAX && reason.ends_with("가…"), "{reason}");
    let start = "cannot read typed::desk::Order: decode json: line 1, column 3027: invalid type: string \"가";
    assert!(reason.starts_with(start), "{reason}");
}
