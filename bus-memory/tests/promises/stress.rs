use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bus::{Bus, Delivery, Outgoing, Seams};
use bus_memory::{MemoryBus, MemoryOptions};

use crate::rig::*;

const PUBLISHERS: usize = 100;
const RECEIVERS: usize = 4;
const BATCHES: usize = 20;
const BATCH: usize = 10;
const TOTAL: usize = PUBLISHERS * BATCHES * BATCH;

/// One key per publisher; a small queue, so that everybody waits for everybody.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_publishers_and_receivers_lose_and_double_nothing() {
    let seams = Seams::system();
    let options = MemoryOptions { capacity_count: 256, ..MemoryOptions::default() };
    let rig = Arc::new(Rig { bus: MemoryBus::new(seams.clone(), options), seams });
    rig.bus.declare(&[bus::Declaration::of(orders())]).await.expect("declared");
    let seen: Arc<Mutex<BTreeMap<String, usize>>> = Arc::default();
    let settled_count = Arc::new(AtomicUsize::new(0));
    let mut tasks = tokio::task::JoinSet::new();
    for publisher in 0..PUBLISHERS {
        let rig = Arc::clone(&rig);
        tasks.spawn(async move {
            for batch in 0..BATCHES {
                let messages = (0..BATCH).map(|number| {
                    let number = batch * BATCH + number;
                    let message = rig.message(&format!("{publisher}/{number}")).with_key(key(&publisher.to_string()));
                    Outgoing::new(orders(), message)
                });
                accepted(&rig.bus.publish(messages.collect()).await);
            }
        });
    }
    let mut receivers = Vec::new();
    for _ in 0..RECEIVERS {
        receivers.push(rig.receiver().await);
    }
    for who in 0..RECEIVERS {
        let (all, seen, settled_count) = (receivers.clone(), Arc::clone(&seen), Arc::clone(&settled_count));
        tasks.spawn(async move {
            let mut into: Vec<Delivery> = Vec::new();
            while all[who].receive(64, &mut into).await.is_ok() {
                for delivery in &into {
                    let text = body(delivery);
                    let (publisher, number) = text.split_once('/').expect("publisher/number");
                    let number: usize = number.parse().expect("a number");
                    let mut seen = seen.lock().expect("no panic");
                    let next = seen.entry(publisher.to_owned()).or_default();
                    assert_eq!(number, *next, "publisher {publisher} in order, once each");
                    *next += 1;
                }
                let count = into.len();
                let outcomes = all[who].settle(into.drain(..).map(Delivery::ack).collect()).await;
                assert!(outcomes.iter().all(bus::SettleOutcome::is_settled), "{outcomes:?}");
                if settled_count.fetch_add(count, Ordering::SeqCst) + count == TOTAL {
                    all.iter().for_each(|receiver| receiver.stop());
                }
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.expect("no task panicked");
    }
    let seen = seen.lock().expect("no panic");
    assert_eq!(seen.values().sum::<usize>(), TOTAL);
    assert_eq!(rig.ready_count(), 0);
}
