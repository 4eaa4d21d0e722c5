//! A stop while polls wait.

use serde_json::json;

use crate::foreign::boto3;
use tests::orders::Place;

/// A stop finds several long polls under way, and a foreign client that goes on sending. What those
/// polls still bring must be visible to the next process at once, not when a lease of ten minutes ends.
pub(crate) async fn a_stop_during_long_polls_strands_no_message() {
    let place = Place::on(&format!("{}&lease=10m", tests::brokers::url("sqs")));
    let process = place.start_ready().await;
    let order = |number: usize| {
        json!({"orderNumber": format!("ORD-{number}"), "productName": "tea", "quantity": 1, "price": 1}).to_string()
    };
    process.signal("TERM");
    let sent: Vec<String> = (0..20).map(order).collect();
    boto3(&["send", &place.order_queue], &sent);
    assert!(process.wait().success(), "{}", place.site.log_tail());

    let found = boto3(&["receive", &place.order_queue], &[]);
    let processed = place.events("order_processed").len();
    assert_eq!(found.len() + processed, sent.len(), "each is visible at once, or was processed");
    let burned: Vec<_> = found.iter().filter(|message| message["receiveCount"].as_u64() > Some(2)).collect();
    assert!(burned.is_empty(), "a poll under way may take a message once, and no more: {burned:?}");
}
