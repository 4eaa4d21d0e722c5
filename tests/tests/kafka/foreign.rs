//! A foreign client beside ours: confluent-kafka, without a key, a header or an id of ours.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use tests::orders::Place;

/// Runs `foreign.py` and answers what it printed, line by line.
pub(crate) fn confluent(action: &[&str], lines: &[String]) -> Vec<Value> {
    let url = tests::brokers::url("kafka");
    let server = url.trim_start_matches("kafka://");
    let python = tests::brokers::installed("kafka").join("venv/bin/python");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/kafka/foreign.py");
    let mut client = Command::new(python);
    client.arg(script).arg(server).args(action).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut client = client.spawn().expect("python runs");
    let mut stdin = client.stdin.take().expect("piped");
    for line in lines {
        writeln!(stdin, "{line}").expect("it reads");
    }
    drop(stdin);
    let output = client.wait_with_output().expect("it ends");
    assert!(output.status.success(), "confluent {action:?}");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON lines")).collect()
}

fn event(kind: &str, key: &str) -> String {
    json!({
        "eventType": kind, "sourceService": "producer", "targetService": "consumer", "entityKey": key,
        "entityType": "ORDER", "timestamp": "2025-09-01T00:51:07.372875", "messageId": format!("foreign-{kind}-{key}"),
    })
    .to_string()
}

pub(crate) async fn what_a_foreign_client_put_there_before_the_start_is_processed() {
    let place = Place::on(&tests::brokers::url("kafka"));
    let (orders, sync) = (place.order_queue.as_str(), place.sync_queue.as_str());
    confluent(&["create", orders, sync], &[]);
    let order = |number: &str| json!({"orderNumber": number, "customerName": "foreign", "productName": "tea", "quantity": 3, "price": 10.5});
    let broken = "{\"orderNumber\": \"ORD-BROKEN\"";
    let sent = [order("ORD-FOREIGN-1").to_string(), broken.to_owned(), order("ORD-FOREIGN-2").to_string()];
    confluent(&["send", orders], &sent);
    confluent(
        &["send", sync],
        &[event("ORDER_UPDATED", "ORD-NOBODY"), event("INVOICE_SENT", "ORD-1"), "not json".to_owned()],
    );

    let process = place.start_ready().await;
    let own = place.site.place("own", &order("ignored")).await;
    let own = own["orderNumber"].as_str().expect("an order");
    place
        .site
        .eventually("foreign orders and our own are processed", async || {
            let mut is_done = true;
            for number in ["ORD-FOREIGN-1", "ORD-FOREIGN-2", own] {
                let url = place.site.consumer(&format!("/api/processed-orders/{number}"));
                is_done &= place.site.get(&url).await.is_some_and(|order| order["status"] == "COMPLETED");
            }
            is_done && !place.events("unknown_event_type").is_empty() && !place.events("order_not_found").is_empty()
        })
        .await;
    let said = place.site.ask(&["verify", "--settle", "20s"]);
    assert_eq!((said.code, said.stdout.contains("2 foreign")), (0, true), "{said:?}");
    assert!(process.terminate().success(), "{}", place.site.log_tail());

    for (topic, body) in [(orders, broken), (sync, "not json")] {
        let dead = confluent(&["receive", &format!("{topic}-dlq")], &[]);
        assert_eq!(dead.len(), 1, "{dead:?}");
        assert_eq!(dead[0]["body"], body, "the body is unchanged");
        assert_eq!(dead[0]["headers"]["x-dead-letter-destination"], *topic, "{dead:?}");
        assert!(dead[0]["headers"]["x-dead-letter-reason"].is_string(), "{dead:?}");
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
