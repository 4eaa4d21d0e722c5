//! A foreign client beside ours: confluent-kafka, without a key, a header or an id of ours.

use serde_json::Value;
use tests::orders::Place;
use tests::orders::story::{BROKEN_EVENT, BROKEN_ORDER, foreign_events, foreign_orders, is_kept_as_sent};

fn confluent(action: &[&str], lines: &[String]) -> Vec<Value> {
    let url = tests::brokers::url("kafka");
    tests::brokers::foreign("kafka", url.trim_start_matches("kafka://"), action, lines)
}

pub(crate) async fn what_a_foreign_client_put_there_before_the_start_is_processed() {
    let place = Place::on(&tests::brokers::url("kafka"));
    let (orders, sync) = (place.order_queue.as_str(), place.sync_queue.as_str());
    confluent(&["create", orders, sync], &[]);
    confluent(&["send", orders], &foreign_orders());
    confluent(&["send", sync], &foreign_events());

    let process = place.start_ready().await;
    place.deals_with_foreign_messages().await;
    assert!(process.terminate().success(), "{}", place.site.log_tail());

    for (topic, body) in [(orders, BROKEN_ORDER), (sync, BROKEN_EVENT)] {
        is_kept_as_sent(&confluent(&["receive", &format!("{topic}-dlq")], &[]), "headers", topic, body);
        assert_eq!(confluent(&["lag", topic], &[]), [0], "nothing of {topic} is left to the group");
    }

    // It reads what ours has sent: the body alone is the JSON.
    let read = confluent(&["receive", sync], &[]);
    let is_ours = |record: &&Value| record["headers"]["x-message-id"].is_string();
    let ours: Vec<&Value> = read.iter().filter(is_ours).collect();
    assert!(!ours.is_empty(), "{read:?}");
    for record in ours {
        let body: Value = serde_json::from_str(record["body"].as_str().expect("text")).expect("JSON");
        assert_eq!(record["key"], body["entityKey"], "{record}");
    }
}
