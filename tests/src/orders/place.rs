//! One installation on queues of its own, and its customers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{Process, Site};

/// Longest wait for any progress while orders are on their way.
const STANDSTILL: Duration = Duration::from_secs(180);
/// Longest wait for the rest of a load of many orders.
const REST_LIMIT: Duration = Duration::from_secs(600);

/// An installation and the arguments that start it.
#[derive(Debug)]
pub struct Place {
    /// Where it runs.
    pub site: Arc<Site>,
    arguments: Vec<String>,
    /// The queue of its orders.
    pub order_queue: String,
    /// The queue of its sync events.
    pub sync_queue: String,
}

impl Place {
    /// On the bus at `url`, with queues that no other test and no earlier run has.
    #[must_use]
    pub fn on(url: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("t{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let (order_queue, sync_queue) = (format!("{name}-orders"), format!("{name}-sync"));
        let arguments = ["serve", "--bus", url, "--order-queue", &order_queue, "--sync-queue", &sync_queue];
        let arguments = arguments.map(ToOwned::to_owned).to_vec();
        Self { site: Arc::new(Site::new()), arguments, order_queue, sync_queue }
    }

    /// The same with further arguments.
    #[must_use]
    pub fn with(mut self, further: &[&str]) -> Self {
        self.arguments.extend(further.iter().map(|argument| (*argument).to_owned()));
        self
    }

    /// An installation of its own on the same queues.
    #[must_use]
    pub fn beside(&self) -> Self {
        let (order_queue, sync_queue) = (self.order_queue.clone(), self.sync_queue.clone());
        Self { site: Arc::new(Site::new()), arguments: self.arguments.clone(), order_queue, sync_queue }
    }

    fn arguments<'a>(&'a self, further: &[&'a str]) -> Vec<&'a str> {
        self.arguments.iter().map(String::as_str).chain(further.iter().copied()).collect()
    }

    /// Starts what `further` says without waiting for it.
    #[must_use]
    pub fn start(&self, further: &[&str]) -> Process {
        self.site.start(&self.arguments(further))
    }

    /// Starts both sides and waits until they are ready.
    pub async fn start_ready(&self) -> Process {
        self.site.start_ready(&self.arguments(&[])).await
    }

    /// Places `count` orders by several clients at a time; each is answered 201.
    pub fn place_orders(&self, count: usize) -> JoinSet<()> {
        let mut clients = JoinSet::new();
        let client_count = 16.min(count);
        for client in 0..client_count {
            let site = Arc::clone(&self.site);
            clients.spawn(async move {
                for order in (client..count).step_by(client_count) {
                    let body = json!({"customerName": "c", "productName": "tea", "quantity": 2, "price": "1.50"});
                    site.place(&format!("key-{order}"), &body).await;
                }
            });
        }
        clients
    }

    /// Waits until so many orders are completed, 500 at most: the rest of the load is still on its way.
    pub async fn until_completed(&self, count: usize) {
        let url = self.site.producer(&format!("/api/orders?status=COMPLETED&limit={count}"));
        self.site
            .eventually("a part of the orders is completed", async || {
                let page = self.site.get(&url).await;
                page.is_some_and(|page| page["items"].as_array().is_some_and(|items| items.len() >= count))
            })
            .await;
    }

    /// Waits until the consumer has shipped so many orders, as long as it goes on shipping.
    ///
    /// # Panics
    /// When it stands still.
    pub async fn until_shipped(&self, count: usize) {
        let url = self.site.consumer("/api/books");
        let mut shipped_count = 0;
        while shipped_count < count as u64 {
            self.site
                .eventually_within(STANDSTILL, "more orders are shipped", async || {
                    let Some(books) = self.site.get(&url).await else { return false };
                    let before = std::mem::replace(&mut shipped_count, books["shipped"].as_u64().unwrap_or_default());
                    shipped_count > before || shipped_count >= count as u64
                })
                .await;
        }
    }

    /// Waits until no order is pending.
    pub async fn all_completed(&self) {
        self.site
            .eventually_within(REST_LIMIT, "every order is completed", async || {
                let url = self.site.producer("/api/orders?status=PENDING&limit=1");
                let page = self.site.get(&url).await;
                page.is_some_and(|page| page["items"].as_array().is_some_and(Vec::is_empty))
            })
            .await;
    }

    /// Asserts that both sides agree and that each of `count` orders took effect once.
    ///
    /// # Panics
    /// When they do not.
    pub async fn agrees_on(&self, count: usize) {
        let said = self.site.ask(&["verify", "--settle", "30s"]);
        assert_eq!(said.code, 0, "{said:?}; log: {}", self.site.log_tail());
        assert!(said.stdout.contains(&format!("equal: {count} orders")), "{said:?}");
        let books = self.site.get(&self.site.consumer("/api/books")).await.expect("the books");
        assert_eq!(books["shipped"], count, "{books}");
        let charged = books["charged"].as_f64().expect("a number");
        assert!((charged - 3.0 * count as f64).abs() < 0.001, "{books}");
    }

    /// Log lines with this event.
    #[must_use]
    pub fn events(&self, event: &str) -> Vec<Value> {
        self.site.log_lines().into_iter().filter(|line| line["event"] == event).collect()
    }
}
