//! What survives. In real time, as the journal has a thread of its own; nothing waits for a clock.

use std::path::Path;
use std::time::Duration;

use bus::Depth;
use bus::capability::Durability;
use bus::{Bus, BusState, BusUrl, Declaration, Registry, Seams, SubscribeOptions, Subscription, dead_letter};
use bus_memory::{MemoryBackend, MemoryBus, MemoryOptions};

use crate::rig::*;

const CLOSE: Duration = Duration::from_secs(60);

/// Opens the bus of a directory at `time` of a fixed day.
async fn open_at(dir: &Path, time: &str) -> Rig {
    let seams = Seams::repeatable(format!("2026-01-01T{time}Z").parse().expect("a timestamp"), 7);
    let bus = MemoryBus::open(dir, seams.clone(), MemoryOptions::default()).await.expect("the journal opens");
    Rig { seams, bus }
}

async fn open(dir: &Path) -> Rig {
    open_at(dir, "00:00:00").await
}

async fn declare(rig: &Rig) {
    let orders = Declaration { destination: orders(), groups: vec![audit()] };
    rig.bus.declare(&[orders]).await.expect("declared");
}

async fn close(rig: Rig) {
    rig.bus.close(CLOSE).await.expect("closed");
}

fn depth(rig: &Rig, subscription: &Subscription) -> Depth {
    rig.bus.depth_now(subscription).expect("declared")
}

#[tokio::test]
async fn what_was_accepted_and_not_settled_is_there_after_a_restart() {
    let dir = tempfile::tempdir().expect("a directory");
    let rig = open(dir.path()).await;
    assert_eq!(rig.bus.capability().durability, Durability::Disk);
    declare(&rig).await;
    let receiver = rig.receiver().await;
    rig.publish_keyed(&["a1", "b1", "a2", "b2", "c1"]).await;
    let mut batch = rig.take(&receiver, 4).await;
    settled(&receiver, batch.remove(0).ack()).await;
    settled(&receiver, batch.remove(1).nack(1_000 * SECOND)).await;
    assert_eq!(bodies(&batch), ["b1", "b2"], "still in hand");
    close(rig).await;

    let rig = open(dir.path()).await;
    let receiver = rig.receiver().await;
    let found = rig.take(&receiver, 10).await;
    assert_eq!(bodies(&found), ["b1", "a2", "b2", "c1"]);
    assert!(found.iter().all(|delivery| delivery.receive_count() == Some(1)), "counts start anew");
    assert_eq!(found[0].message().key(), Some(&key("b")));
    assert_eq!(depth(&rig, &Subscription::grouped(orders(), audit())).ready_count, 5, "each group has its own");
    ack_all(&receiver, found).await;
    rig.publish(&["later"]).await;
    close(rig).await;

    let rig = open(dir.path()).await;
    let receiver = rig.receiver().await;
    assert_eq!(bodies(&rig.take(&receiver, 10).await), ["later"]);
    close(rig).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_publishers_lose_nothing_over_a_restart() {
    let dir = tempfile::tempdir().expect("a directory");
    let rig = std::sync::Arc::new(open(dir.path()).await);
    declare(&rig).await;
    let mut tasks = tokio::task::JoinSet::new();
    for publisher in 0..20 {
        let rig = std::sync::Arc::clone(&rig);
        tasks.spawn(async move {
            for number in 0..10 {
                rig.publish(&[&format!("{publisher}/{number}"), "second of the batch"]).await;
            }
        });
    }
    tasks.join_all().await;
    let receiver = rig.receiver().await;
    let some = rig.take(&receiver, 100).await;
    ack_all(&receiver, some).await;
    rig.bus.close(CLOSE).await.expect("closed");
    let rig = open(dir.path()).await;
    assert_eq!(rig.ready_count(), 300);
    close(rig).await;
}

#[tokio::test]
async fn a_rejected_message_is_in_the_dead_letters_after_a_restart_and_nowhere_else() {
    let dir = tempfile::tempdir().expect("a directory");
    let rig = open(dir.path()).await;
    declare(&rig).await;
    let receiver = rig.receiver().await;
    rig.publish(&["1"]).await;
    let delivery = rig.take_one(&receiver).await;
    settled(&receiver, delivery.reject("bad")).await;
    close(rig).await;

    let rig = open(dir.path()).await;
    assert_eq!(depth(&rig, &Subscription::to(orders())), Depth::default());
    let graves = Subscription::to(destination("orders-dlq"));
    let dead = rig.receiver_of(&graves, SubscribeOptions::default()).await;
    let found = rig.take_one(&dead).await;
    assert_eq!((body(&found).as_str(), found.message().headers().text(dead_letter::REASON)), ("1", Some("bad")));
    settled(&dead, found.ack()).await;
    let receiver = rig.receiver().await;
    rig.publish(&["2"]).await;
    let delivery = rig.take_one(&receiver).await;
    settled(&receiver, delivery.reject("the link to the dead letters is back too")).await;
    close(rig).await;
}

#[tokio::test]
async fn a_delayed_message_is_not_early_after_a_restart() {
    let dir = tempfile::tempdir().expect("a directory");
    let rig = open(dir.path()).await;
    declare(&rig).await;
    rig.publish_one(rig.outgoing("1").delayed(3_600 * SECOND)).await;
    close(rig).await;
    for (time, ready_count, delayed_count) in [("00:59:59", 0, 1), ("01:00:01", 1, 0)] {
        let rig = open_at(dir.path(), time).await;
        let expected = Depth { ready_count, delayed_count, in_flight_count: 0 };
        assert_eq!(depth(&rig, &Subscription::to(orders())), expected, "{time}");
        close(rig).await;
    }
}

#[tokio::test]
async fn a_message_longer_than_a_row_is_kept_whole_and_removed_whole() {
    let dir = tempfile::tempdir().expect("a directory");
    let rig = open(dir.path()).await;
    declare(&rig).await;
    let long = "x".repeat(200 * 1024);
    rig.publish(&[&long, "short"]).await;
    close(rig).await;

    let rig = open(dir.path()).await;
    let receiver = rig.receiver().await;
    let found = rig.take(&receiver, 10).await;
    assert_eq!(bodies(&found), [long.as_str(), "short"]);
    ack_all(&receiver, found).await;
    close(rig).await;

    let rig = open(dir.path()).await;
    assert_eq!(depth(&rig, &Subscription::to(orders())), Depth::default());
    close(rig).await;
}

#[tokio::test]
async fn a_row_that_cannot_be_read_is_set_aside_and_the_start_goes_on() {
    let dir = tempfile::tempdir().expect("a directory");
    let rig = open(dir.path()).await;
    declare(&rig).await;
    rig.publish(&["1"]).await;
    close(rig).await;
    let journal = journal::Journal::open(dir.path(), journal::Options::new("the test")).expect("opens");
    let mut write = journal::Write::new();
    write.put(*b"m\0\0\0\x01\0\0\0\0\0\0\0\x63\0\0\0\0", *b"nonsense").put(*b"dnonsense", *b"{}");
    journal.commit(move |_| (write, ())).await.expect("written");
    journal.close().await.expect("closed");

    let rig = open(dir.path()).await;
    let receiver = rig.receiver().await;
    assert_eq!(bodies(&rig.take(&receiver, 10).await), ["1"]);
    close(rig).await;
    let journal = journal::Journal::open(dir.path(), journal::Options::new("the test")).expect("opens");
    let kept = journal.get(b"xdnonsense").await.expect("readable");
    assert_eq!(kept.as_deref(), Some(&b"{}"[..]));
    journal.close().await.expect("closed");
}

#[tokio::test]
async fn a_cancelled_publish_that_was_written_is_visible() {
    let dir = tempfile::tempdir().expect("a directory");
    let rig = open(dir.path()).await;
    declare(&rig).await;
    // Polled once: the write is under way, and then nobody waits for it any more. On a busy machine
    // it may be over before the poll returns; then there was nothing to cancel, and the next is tried.
    let mut count = 0;
    let mut is_cancelled = false;
    while !is_cancelled {
        let mut publish = Box::pin(rig.bus.publish(vec![rig.outgoing("1")]));
        let first_poll = std::future::poll_fn(|context| std::task::Poll::Ready(publish.as_mut().poll(context))).await;
        is_cancelled = first_poll.is_pending();
        count += 1;
        assert!(count < 1_000, "a write is never under way");
    }
    assert_eq!(rig.ready_count(), count);
    close(rig).await;
    let rig = open(dir.path()).await;
    assert_eq!(rig.ready_count(), count);
    close(rig).await;
}

#[tokio::test]
async fn a_settle_that_is_dropped_while_it_is_written_is_made() {
    let dir = tempfile::tempdir().expect("a directory");
    let rig = open(dir.path()).await;
    declare(&rig).await;
    let receiver = rig.receiver().await;
    rig.publish(&["1", "2"]).await;
    let mut batch = rig.take(&receiver, 2).await;
    let mut settle = Box::pin(receiver.settle(vec![batch.remove(0).ack(), batch.remove(0).reject("bad")]));
    // Polled once: the write is under way, or over already on a busy machine.
    let _ = std::future::poll_fn(|context| std::task::Poll::Ready(settle.as_mut().poll(context))).await;
    drop(settle);
    let graves = Subscription::to(destination("orders-dlq"));
    assert_eq!((rig.ready_count(), depth(&rig, &graves).ready_count), (0, 1));
    close(rig).await;
    let rig = open(dir.path()).await;
    assert_eq!((rig.ready_count(), depth(&rig, &graves).ready_count), (0, 1));
    close(rig).await;
}

#[tokio::test]
async fn a_directory_has_one_bus_and_the_next_one_after_it_is_closed() {
    let dir = tempfile::tempdir().expect("a directory");
    let url = format!("memory://?journal={}", dir.path().display());
    let url = BusUrl::parse(&url).expect("a URL");
    let registry = Registry::new().with(MemoryBackend);
    let first = registry.open(&url, &seams()).await.expect("opens");
    assert_eq!(first.state(), BusState::Up);
    let error = registry.open(&url, &seams()).await.expect_err("in use").to_string();
    assert!(error.contains("in use"), "{error}");
    first.close(CLOSE).await.expect("closed");
    first.close(CLOSE).await.expect("closing twice is no error");
    registry.open(&url, &seams()).await.expect("free again").close(CLOSE).await.expect("closed");
}
