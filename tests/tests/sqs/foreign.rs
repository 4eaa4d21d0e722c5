//! A foreign client beside ours: boto3.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use tests::orders::Place;

/// Runs `foreign.py` and answers what it printed, line by line.
pub(crate) fn boto3(action: &[&str], lines: &[String]) -> Vec<Value> {
    let url = tests::brokers::url("sqs");
    let endpoint = url.split("endpoint=").nth(1).expect("the URL of a local server names its endpoint");
    let python = tests::brokers::installed("sqs").join("venv/bin/python");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/sqs/foreign.py");
    let mut client = Command::new(python);
    client.arg(script).arg(endpoint).args(action).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut client = client.spawn().expect("python runs");
    let mut stdin = client.stdin.take().expect("piped");
    for line in lines {
        writeln!(stdin, "{line}").expect("it reads");
    }
    drop(stdin);
    let output = client.wait_with_output().expect("it ends");
    assert!(output.status.success(), "boto3 {action:?}");
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
    let place = Place::on(&tests::brokers::url("sqs"));
    let (orders, sync) = (place.order_queue.as_str(), place.sync_queue.as_str());
    boto3(&["create", orders, sync], &[]);
    let order = |number: &str| json!({"orderNumber": number, "customerName": "foreign", "productName": "tea", "quantity": 3, "price": 10.5});
    let broken = "{\"orderNumber\": \"ORD-BROKEN\"";
    let sent = [order("ORD-FOREIGN-1").to_string(), broken.to_owned(), order("ORD-FOREIGN-2").to_string()];
    boto3(&["send", orders], &sent);
    boto3(
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

    for (queue, body) in [(orders, broken), (sync, "not json")] {
        let dead = boto3(&["receive", &format!("{queue}-dlq")], &[]);
        assert_eq!(dead.len(), 1, "{dead:?}");
        assert_eq!(dead[0]["body"], body, "the body is unchanged");
        assert_eq!(dead[0]["attributes"]["x-dead-letter-destination"], *queue, "{dead:?}");
        assert!(dead[0]["attributes"]["x-dead-letter-reason"].is_string(), "{dead:?}");
        assert!(boto3(&["receive", queue], &[]).is_empty(), "nothing is left on {queue}");
    }
}
