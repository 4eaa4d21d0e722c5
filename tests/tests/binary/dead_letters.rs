//! `orders dead-letters` looks after what was given up, while nobody serves.

use std::time::Duration;

use bus::{Bus, BusExt, Declaration, Destination, Message, MessageId, Outgoing, Seams};
use bus_memory::{MemoryBus, MemoryOptions};
use serde_json::{Value, json};
use tests::orders::{Said, Site};

use crate::shop::recorded;

const QUEUE: &str = "order-processing-queue";

/// Puts messages on the order queue of a stopped installation, as a foreign producer would.
async fn put(site: &Site, messages: &[(&str, String)]) {
    let journal = site.directory().join("data").join("bus");
    let bus = MemoryBus::open(&journal, Seams::system(), MemoryOptions::default()).await.expect("nobody has it");
    let queue = Destination::new(QUEUE).expect("legal");
    bus.declare(&[Declaration::of(queue.clone())]).await.expect("declared");
    for (id, body) in messages {
        let message = Message::new(MessageId::parse(id).expect("legal"), body.clone());
        assert!(bus.publish_one(Outgoing::new(queue.clone(), message)).await.is_accepted());
    }
    bus.close(Duration::from_secs(10)).await.expect("closed");
}

/// Serves until nothing is left on the order queue, so that what cannot be read is given up.
async fn serve_for_a_while(site: &Site) {
    let process = site.start_ready(&[]).await;
    let order = site.place("own", &recorded()).await;
    let number = order["orderNumber"].as_str().expect("an order").to_owned();
    let url = site.consumer(&format!("/api/processed-orders/{number}"));
    // It was published behind the others.
    site.eventually("our own order is processed", async || site.get(&url).await.is_some()).await;
    assert!(process.terminate().success(), "{}", site.log_tail());
}

fn listed(site: &Site) -> Vec<Value> {
    let said = site.ask(&["dead-letters", "list", "order", "--json"]);
    assert_eq!(said.code, 0, "{said:?}");
    let listing: Value = serde_json::from_str(&said.stdout).expect("JSON");
    listing["deadLetters"].as_array().expect("a list").clone()
}

fn asked(site: &Site, arguments: &[&str]) -> Said {
    site.ask(&[&["dead-letters"], arguments].concat())
}

#[tokio::test]
async fn dead_letters_are_listed_shown_replayed_and_discarded() {
    let site = Site::new();
    let order = json!({"orderNumber": "ORD-1", "productName": "tea", "quantity": 1, "price": 1}).to_string();
    put(&site, &[("broken-1", "{".to_owned()), ("good-1", order), ("broken-2", "[]".to_owned())]).await;
    serve_for_a_while(&site).await;

    let ids = |letters: &[Value]| -> Vec<String> {
        letters.iter().map(|letter| letter["messageId"].as_str().expect("an id").to_owned()).collect()
    };
    let letters = listed(&site);
    assert_eq!(ids(&letters), ["broken-1", "broken-2"]);
    assert_eq!(letters[0]["rejectedBy"], QUEUE, "{letters:?}");
    assert!(letters[0]["reason"].is_string() && letters[0]["rejectedAt"].is_string(), "{letters:?}");
    assert_eq!(ids(&listed(&site)), ids(&letters), "listing changes nothing");

    let table = asked(&site, &["list", "order", "--reason", "no such reason"]);
    assert_eq!((table.code, table.stdout.contains("0 dead letters")), (0, true), "{table:?}");
    let shown = asked(&site, &["show", "order", "broken-1"]);
    assert_eq!((shown.code, shown.stdout.contains("x-dead-letter-reason: ")), (0, true), "{shown:?}");
    let missing = asked(&site, &["show", "order", "nobody"]);
    assert_eq!((missing.code, missing.stderr.contains("hint: ")), (1, true), "{missing:?}");

    let dry = asked(&site, &["replay", "order", "--dry-run"]);
    assert_eq!((dry.code, dry.stdout.starts_with("would be: ")), (0, true), "{dry:?}");
    assert_eq!(listed(&site).len(), 2, "a dry run sends nothing");
    let replayed = asked(&site, &["replay", "order", "--id", "broken-2"]);
    assert_eq!(replayed.code, 0, "{replayed:?}");
    assert_eq!(ids(&listed(&site)), ["broken-1"]);

    let careless = asked(&site, &["discard", "order"]);
    assert_eq!((careless.code, careless.stderr.contains("--all")), (2, true), "{careless:?}");
    assert_eq!(asked(&site, &["discard", "order", "--all"]).code, 0);
    assert!(listed(&site).is_empty());

    serve_for_a_while(&site).await;
    let letters = listed(&site);
    assert_eq!(ids(&letters), ["broken-2"], "replayed, read, and given up once more");
    assert_eq!(letters[0]["replayCount"], 1, "{letters:?}");
}

#[tokio::test]
async fn a_bus_that_a_serving_process_holds_says_who_has_it() {
    let site = Site::new();
    let _process = site.start_ready(&[]).await;
    let said = site.ask(&["dead-letters", "list", "order"]);
    assert_eq!((said.code, said.stderr.contains("error: ")), (1, true), "{said:?}");
}
