//! POST /api/orders with 64 clients over real sockets, beside the raw group-commit rate of the store
//! on the same disk with 64 writers. Prints both rates and their ratio, in interleaved rounds; the
//! orders are posted to a producer as the binary puts it together, with its page of metrics and its
//! traces, and to a bare one.
//!
//! `cargo bench -p tests --bench orders`

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bus::clock::SystemClock;
use bus::layer::{LayerExt, Tracing};
use bus::{Bus, Clock, Destination, Seams};
use bus_memory::{MemoryBus, MemoryOptions};
use jiff::tz::TimeZone;
use serde_json::json;
use services::http::server::{self, Limits};
use services::metrics::Page;
use services::producer::{self, Producer, ProducerSettings};
use services::store::{Batch, JournaledStore, Store, Table};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

const CLIENT_COUNT: u64 = 64;
const WRITE_COUNT: u64 = 20_000;
const ROUND_COUNT: usize = 5;
/// As many bytes as an order with its rows takes, in one batch.
const WRITE_BYTES: usize = 2_500;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let (mut ratios, mut costs) = (Vec::new(), Vec::new());
    println!("{WRITE_COUNT} writes by {CLIENT_COUNT} clients; {ROUND_COUNT} interleaved rounds");
    for round in 1..=ROUND_COUNT {
        let raw = rate(group_commits().await);
        let watched = rate(posts(true).await);
        let bare = rate(posts(false).await);
        ratios.push(watched / raw);
        costs.push(watched / bare);
        println!(
            "{round}: raw group commits {raw:>7.0}/s   POST accepted durably {watched:>7.0}/s, bare {bare:>7.0}/s   ratio {:.2}, to bare {:.2}",
            watched / raw,
            watched / bare
        );
    }
    println!("median ratio {:.2}, to bare {:.2}", median(ratios), median(costs));
}

fn median(mut ratios: Vec<f64>) -> f64 {
    ratios.sort_by(f64::total_cmp);
    ratios[ratios.len() / 2]
}

#[expect(clippy::cast_precision_loss, reason = "a rate for people")]
fn rate(took: Duration) -> f64 {
    WRITE_COUNT as f64 / took.as_secs_f64()
}

/// Runs `work` with numbers below the write count, from 64 tasks; the time until all are done.
async fn timed<F: Future<Output = ()> + Send + 'static>(work: impl Fn(u64) -> F + Clone + Send + 'static) -> Duration {
    let next = Arc::new(AtomicU64::new(0));
    let clock = SystemClock::new();
    let start = clock.now();
    let mut clients = JoinSet::new();
    for _ in 0..CLIENT_COUNT {
        let (next, work) = (Arc::clone(&next), work.clone());
        clients.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= WRITE_COUNT {
                    return;
                }
                work(number).await;
            }
        });
    }
    clients.join_all().await;
    clock.now().since(start)
}

async fn group_commits() -> Duration {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let store = Arc::new(JournaledStore::open(directory.path(), "bench").expect("opened"));
    let writer = Arc::clone(&store);
    let took = timed(move |number| {
        let store = Arc::clone(&writer);
        async move {
            let batch = Batch::new().put(Table::Orders.number(number), vec![b'x'; WRITE_BYTES]);
            let _ = store.apply(batch).await.expect("written");
        }
    })
    .await;
    store.close().await.expect("closed");
    took
}

async fn posts(is_watched: bool) -> Duration {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let store = Arc::new(JournaledStore::open(directory.path(), "bench").expect("opened"));
    let seams = Seams::system();
    let settings = ProducerSettings {
        order_queue: Destination::new("order-processing-queue").expect("legal"),
        sync_queue: Destination::new("sync-events-queue").expect("legal"),
        time_zone: TimeZone::UTC,
        sync_token: None,
    };
    let options = MemoryOptions { capacity_count: 1_000_000, ..MemoryOptions::default() };
    let mut bus: Arc<dyn Bus> = MemoryBus::new(seams.clone(), options);
    let mut page = is_watched.then(|| Page::new("producer", "memory", &seams));
    if let Some(page) = &page {
        bus = page.metered(bus).layer(Tracing::new(&seams));
    }
    let stop = CancellationToken::new();
    let producer = Producer::start(bus, Arc::clone(&store) as _, seams, settings, stop.clone()).await.expect("started");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("loopback has free ports");
    let url = format!("http://{}/api/orders", listener.local_addr().expect("bound"));
    if let Some(page) = &mut page {
        producer.show_on(page);
    }
    let router = producer::router(Arc::clone(&producer));
    let edge = page.map_or_else(|| producer::edge(Arc::clone(&producer)), |page| page.serve_on(router));
    let mut running = JoinSet::new();
    running.spawn(server::serve(listener, edge, Limits::default(), stop.clone()));
    let relaying = stop.clone();
    running.spawn(async move {
        producer.run(relaying).await;
        0
    });
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let took = timed(move |_| {
        let request = client
            .post(&url)
            .json(&json!({"customerName": "c", "productName": "tea", "quantity": 2, "price": "45000.00"}));
        async move {
            assert_eq!(request.send().await.expect("answered").status(), reqwest::StatusCode::CREATED);
        }
    })
    .await;
    stop.cancel();
    running.join_all().await;
    store.close().await.expect("closed");
    took
}
