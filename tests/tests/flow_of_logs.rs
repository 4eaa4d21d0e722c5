//! The log of the recorded flow: each step once, in the recorded order, with what finds it again.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bus::{BusExt, ClockExt, Message, MessageId, Outgoing};
use serde_json::Value;
use tests::world::{Client, World, in_virtual_time, sync_queue};

const PATIENCE: Duration = Duration::from_secs(300);

/// The way of an order from its request to the copy of its final state.
const WAY: [&str; 17] = [
    "order_requested",
    "order_stored",
    "order_published",
    "sync_published",
    "order_received",
    "processing_started",
    "stock_checked",
    "payment_done",
    "shipping_ready",
    "order_processed",
    "completion_published",
    "sync_received PROCESSING_COMPLETED",
    "order_changed",
    "sync_published",
    "sync_received ORDER_UPDATED",
    "producer_healthy",
    "order_synced",
];
/// Beside it: the copy of the new order, while it is processed, and what we log beyond the record.
const BESIDE: [&str; 6] = [
    "sync_received ORDER_UPDATED",
    "producer_healthy",
    "sync_order_requested",
    "order_synced",
    "result_applied",
    "sync_order_requested",
];

/// A writer that keeps what was written.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("not poisoned").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Runs a scenario beside both services, and answers what they logged.
fn logged(scenario: impl AsyncFnOnce(&World, &Client)) -> Vec<Value> {
    let kept = Kept::default();
    let writer = kept.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::INFO)
        .json()
        .flatten_event(true)
        .with_writer(move || writer.clone())
        .finish();
    let _logging = tracing::subscriber::set_default(subscriber);
    in_virtual_time(async {
        let world = World::new(41);
        let client = world.client();
        tokio::select! {
            biased;
            () = scenario(&world, &client) => {}
            () = world.producer() => unreachable!("the producer runs until it is dropped"),
            () = world.consumer() => unreachable!("the consumer runs until it is dropped"),
        }
    });
    let text = String::from_utf8(kept.0.lock().expect("not poisoned").clone()).expect("text");
    text.lines().map(|line| serde_json::from_str(line).expect("a line is a JSON object")).collect()
}

async fn complete(client: &Client) -> String {
    let order = client.place("key", "SyncEventListener 검증", 2, "45000.00").await;
    let number = order["orderNumber"].as_str().expect("a number").to_owned();
    client.settled(&number, "COMPLETED", PATIENCE).await.expect("completed on both sides");
    number
}

fn event(line: &Value) -> &str {
    line["event"].as_str().unwrap_or_default()
}

#[test]
fn the_steps_of_an_order_are_logged_in_the_recorded_order() {
    let lines = logged(async |_, client| drop(complete(client).await));
    let number = lines.iter().find(|line| event(line) == "order_stored").expect("stored")["order_number"].clone();
    let of_order = lines.iter().filter(|line| line["order_number"] == number);
    let mut life: Vec<String> = of_order
        .map(|line| match line["event_type"].as_str() {
            Some(event_type) => format!("{} {event_type}", event(line)),
            None => event(line).to_owned(),
        })
        .collect();
    let mut from = 0;
    for step in WAY {
        let at = life[from..].iter().position(|logged| logged == step);
        from += at.unwrap_or_else(|| panic!("{step} does not come after the steps before it: {life:#?}")) + 1;
    }
    let mut expected = [&WAY[..], &BESIDE].concat();
    expected.sort_unstable();
    life.sort_unstable();
    assert_eq!(life, expected, "each step is logged once");
}

#[test]
fn each_step_names_its_order_and_what_comes_from_a_message_its_id_and_attempt() {
    let lines = logged(async |_, client| drop(complete(client).await));
    let is_step = |line: &&Value| WAY.iter().any(|step| step.split(' ').next() == Some(event(line)));
    for line in lines.iter().filter(is_step) {
        assert!(line["order_number"].as_str().is_some_and(|number| number.starts_with("ORD-")), "{line}");
        assert_eq!(line["level"], "INFO", "{line}");
        assert!(line["message"].as_str().is_some_and(|message| !message.is_empty()), "{line}");
        if event(line).ends_with("_published") || event(line).ends_with("_received") {
            let id = line["message_id"].as_str().unwrap_or_default();
            assert!(!id.is_empty() && id != "unknown", "{line}");
        }
        if event(line).ends_with("_received") {
            assert_eq!(line["attempt"], 1, "{line}");
        }
    }
    let id_of = |name: &str| lines.iter().find(|line| event(line) == name).expect("logged")["message_id"].clone();
    assert_eq!(id_of("order_published"), id_of("order_received"), "one message, one id");
}

#[test]
fn what_nobody_knows_is_warned_of_and_not_tried_again() {
    let lines = logged(async |world, client| {
        complete(client).await;
        for (id, body) in [
            ("m-1", r#"{"eventType":"ORDER_ARCHIVED","entityKey":"ORD-1"}"#),
            ("m-2", r#"{"eventType":"ORDER_UPDATED","entityKey":"ORD-2"}"#),
            ("m-3", r#"{"eventType":"PROCESSING_COMPLETED","entityKey":"ORD-3"}"#),
        ] {
            let message = Message::foreign(MessageId::parse(id).expect("an id"), body);
            assert!(world.bus.publish_one(Outgoing::new(sync_queue(), message)).await.is_accepted());
        }
        world.seams.clock.sleep(Duration::from_secs(600)).await;
    });
    let warnings: Vec<(&str, &str)> = lines
        .iter()
        .filter(|line| line["level"] != "INFO")
        .map(|line| (event(line), line["order_number"].as_str().unwrap_or_default()))
        .collect();
    let expected = [("unknown_event_type", "ORD-1"), ("order_not_found", "ORD-2"), ("order_not_found", "ORD-3")];
    assert_eq!(warnings.len(), expected.len(), "{warnings:?}");
    assert!(expected.iter().all(|warning| warnings.contains(warning)), "{warnings:?}");
}

#[test]
fn a_repeated_request_is_not_logged_as_a_new_order() {
    let lines = logged(async |_, client| {
        complete(client).await;
        complete(client).await;
    });
    let count = |name: &str| lines.iter().filter(|line| event(line) == name).count();
    assert_eq!((count("order_requested"), count("order_stored")), (1, 1));
}
