//! kill -9 at random moments while orders come in: nothing accepted is lost, nothing happens twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;
use tests::orders::Site;
use tokio::task::JoinSet;

const ORDER_COUNT: usize = 2_000;
const CLIENT_COUNT: usize = 16;
const KILL_COUNT: usize = 24;
/// Every fourth kill comes this soon after the start, while the stores are being opened.
const EARLY_WITHIN_MS: u64 = 200;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_twenty_four_times_during_two_thousand_orders_it_loses_and_repeats_nothing() {
    let site = Arc::new(Site::new());
    let answered = Arc::new(AtomicUsize::new(0));
    let mut clients = JoinSet::new();
    for client in 0..CLIENT_COUNT {
        let (site, answered) = (Arc::clone(&site), Arc::clone(&answered));
        clients.spawn(async move {
            let mut numbers = Vec::new();
            for order in (client..ORDER_COUNT).step_by(CLIENT_COUNT) {
                let body = json!({"customerName": "c", "productName": "tea", "quantity": 2, "price": "1.50"});
                let accepted = site.place(&format!("key-{order}"), &body).await;
                numbers.push(accepted["orderNumber"].as_str().expect("a number").to_owned());
                answered.fetch_add(1, Ordering::Relaxed);
            }
            numbers
        });
    }

    // The moments are drawn from a fixed sequence; what the process is doing then is not.
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut draw = move |below: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % below
    };
    for kill in 0..KILL_COUNT {
        if kill % 4 == 3 {
            let process = site.start(&[]);
            real_pause(Duration::from_millis(draw(EARLY_WITHIN_MS))).await;
            process.kill();
        } else {
            let process = site.start_ready(&[]).await;
            let before = answered.load(Ordering::Relaxed);
            let share = ORDER_COUNT / KILL_COUNT;
            let further = usize::try_from(draw(share as u64)).expect("small");
            let target = (before + further).min(ORDER_COUNT);
            site.eventually("orders are accepted", async || answered.load(Ordering::Relaxed) >= target).await;
            real_pause(Duration::from_millis(draw(20))).await;
            process.kill();
        }
    }

    let process = site.start_ready(&[]).await;
    let numbers: Vec<String> = clients.join_all().await.into_iter().flatten().collect();
    assert_eq!(numbers.len(), ORDER_COUNT);
    site.eventually("every order is completed", async || {
        let url = site.producer("/api/orders?status=PENDING&limit=1");
        site.get(&url).await.is_some_and(|page| page["items"].as_array().is_some_and(Vec::is_empty))
    })
    .await;

    let (code, report) = site.run(&["verify"]);
    assert_eq!(code, 0, "{report}");
    assert!(report.contains(&format!("equal: {ORDER_COUNT} orders")), "one order per key: {report}");
    let books = site.get(&site.consumer("/api/books")).await.expect("the books");
    assert_eq!(books["shipped"], ORDER_COUNT, "{books}");
    assert_eq!(books["charged"].to_string(), "6000.0", "{books}");
    assert_eq!(books["products"]["tea"]["moved"], -2 * i64::try_from(ORDER_COUNT).expect("small"), "{books}");
    assert!(process.terminate().success(), "{}", site.log_tail());
}

#[expect(clippy::disallowed_methods, reason = "the moment of a kill is a moment of real time")]
async fn real_pause(duration: Duration) {
    tokio::time::sleep(duration).await;
}
