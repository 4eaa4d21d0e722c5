//! What is known at the end of a run, for the checks: asked over HTTP, as anybody could.

use std::collections::BTreeMap;

use bus::capability::Order;
use bus::{Message, Subscription};
use bytes::Bytes;
use http::{Request, StatusCode};
use serde_json::Value;
use services::store::Table;

use super::plan::Wanted;
use super::scene::{Scene, order_queue, sync_queue};
use super::story::read;
use super::tally::Work;
use super::watch::Seen;
use crate::broker::Model;

/// An order a customer was promised.
#[derive(Clone, Debug, Default)]
pub struct Placed {
    /// Its number; empty when it was refused.
    pub order_number: String,
    /// What was wanted.
    pub wanted: Wanted,
    /// The first answer.
    pub answer: Value,
}

/// Everything the checks look at.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    /// Whether everything came to rest after the healing.
    pub came_to_rest: bool,
    /// What customers were promised.
    pub placed: Vec<Placed>,
    /// Ids of the unreadable messages that were planted.
    pub planted: Vec<String>,
    /// The producer's orders.
    pub orders: Vec<Value>,
    /// The consumer's copies.
    pub copies: Vec<Value>,
    /// What the consumer processed.
    pub processed: Vec<Value>,
    /// The sums of the books.
    pub books: Value,
    /// The books of each order, by number.
    pub books_of: BTreeMap<String, Value>,
    /// What still waits on the broker.
    pub waiting: Vec<Message>,
    /// What is among the dead letters.
    pub dead: Vec<Message>,
    /// Rows of the stores that should be empty: store and table.
    pub unsent: Vec<String>,
    /// What the consumer's handlers were seen to do, and the disks to take.
    pub seen: Seen,
    /// How much work it was.
    pub work: Work,
    /// Whether the broker promises order per key.
    pub is_ordered: bool,
    /// Starts of a message that may have been counted and come to nothing: one for each death of the consumer, and
    /// for each fault of a write that counts.
    pub burnt_count_max: u32,
}

impl Evidence {
    pub(super) async fn collect(&mut self, scene: &Scene) {
        self.orders = items(scene, false, "/api/orders?limit=500").await.unwrap_or_default();
        self.copies = items(scene, true, "/api/synced-orders?limit=500").await.unwrap_or_default();
        self.processed = items(scene, true, "/api/processed-orders?limit=500").await.unwrap_or_default();
        self.books = get(scene, true, "/api/books").await.unwrap_or_default();
        for placed in &self.placed {
            let path = format!("/api/books/{}", placed.order_number);
            let books = get(scene, true, &path).await.unwrap_or_default();
            self.books_of.insert(placed.order_number.clone(), books);
        }
        for queue in [order_queue(), sync_queue()] {
            let dead = queue.dead_letters().expect("a short name");
            self.waiting.extend(scene.broker.waiting(&Subscription::to(queue)));
            self.dead.extend(scene.broker.waiting(&Subscription::to(dead)));
        }
        self.unsent = unsent(scene);
        let completed = self.orders.iter().filter(|order| order["status"] == "COMPLETED").count();
        scene.tally.work().completed = completed as u64;
        self.work = *scene.tally.work();
        self.seen = scene.watch.seen().clone();
        self.is_ordered =
            Model::named(&scene.plan.broker).is_some_and(|model| model.semantics().capability.order == Order::PerKey);
        self.burnt_count_max = self.seen.disturbed_count + scene.consumer.node.generation().saturating_sub(1);
    }

    /// The producer's order of that number.
    #[must_use]
    pub fn order(&self, number: &str) -> Option<&Value> {
        self.orders.iter().find(|order| order["orderNumber"] == number)
    }
}

/// Rows that wait to be sent or acknowledged.
pub(super) fn unsent(scene: &Scene) -> Vec<String> {
    let mut found = Vec::new();
    for machine in [&scene.producer, &scene.consumer] {
        for table in [Table::Outbox, Table::Parked, Table::Unacknowledged] {
            let count = machine.disk.scan(&table.all()).len();
            if count > 0 {
                found.push(format!("{}: {count} in {table:?}", machine.node.name()));
            }
        }
    }
    found
}

async fn get(scene: &Scene, is_consumer: bool, path: &str) -> Option<Value> {
    let request = Request::get(path).body(Bytes::new()).expect("a request");
    let answer = scene.network.reach(is_consumer, request).await.ok()?;
    (answer.status() == StatusCode::OK).then(|| read(answer.body()))
}

async fn items(scene: &Scene, is_consumer: bool, path: &str) -> Option<Vec<Value>> {
    get(scene, is_consumer, path).await?["items"].as_array().cloned()
}
