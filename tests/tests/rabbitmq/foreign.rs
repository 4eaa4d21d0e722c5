//! A foreign client beside ours: pika.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tests::orders::Place;

/// Runs `foreign.py` and answers what it printed, line by line.
fn pika(action: &[&str], lines: &[String]) -> Vec<Value> {
    let python = tests::brokers::installed("rabbitmq").join("venv/bin/python");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/rabbitmq/foreign.py");
    let mut client = Command::new(python);
    client.arg(script).arg(tests::brokers::url("rabbitmq")).args(action);
    let mut client = client.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("python runs");
    let mut stdin = client.stdin.take().expect("piped");
    for line in lines {
        writeln!(stdin, "{line}").expect("it reads");
    }
    drop(stdin);
    let output = client.wait_with_output().expect("it ends");
    assert!(output.status.success(), "pika {action:?}");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON lines")).collect()
}

fn order(number: &str) -> Value {
    json!({"orderNumber": number, "customerName": "foreign", "productName": "tea", "quantity": 3, "price": 10.5})
}

/// Sends orders, an event and unreadable bytes beside one of our own orders, and waits for all of it.
pub(crate) async fn among_our_own(place: &Place) {
    let (orders, sync) = (place.order_queue.as_str(), place.sync_queue.as_str());
    let broken = "{\"orderNumber\": \"ORD-BROKEN\"";
    let event = json!({
        "eventType": "ORDER_UPDATED", "sourceService": "producer", "targetService": "consumer",
        "entityKey": "ORD-NOBODY", "entityType": "ORDER", "timestamp": "2025-09-01T00:51:07.372875",
    });
    pika(
        &["send", orders],
        &[order("ORD-FOREIGN-1").to_string(), broken.to_owned(), order("ORD-FOREIGN-2").to_string()],
    );
    pika(&["send", sync], &[event.to_string(), "not json".to_owned()]);
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
            is_done && !place.events("order_not_found").is_empty()
        })
        .await;
    let said = place.site.ask(&["verify", "--settle", "20s"]);
    assert_eq!((said.code, said.stdout.contains("2 foreign")), (0, true), "{said:?}");
    for (queue, body) in [(orders, broken), (sync, "not json")] {
        let dead = pika(&["receive", &format!("{queue}-dlq")], &[]);
        assert_eq!(dead.len(), 1, "{dead:?}");
        assert_eq!(dead[0]["body"], body, "the body is unchanged");
        assert_eq!(dead[0]["headers"]["x-dead-letter-destination"], *queue, "{dead:?}");
        assert!(dead[0]["headers"]["x-dead-letter-reason"].is_string(), "{dead:?}");
    }
}
