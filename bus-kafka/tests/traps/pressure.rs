//! More than there is room for.

use std::time::Duration;

use bus::{Bus as _, Delivery, Message, MessageKey, Outgoing, PublishOutcome, Seams, SettleOutcome};

use crate::cluster::{Cluster, close, declare, outgoing, receiver, take};

/// The producer's queue takes 64 MiB; nothing of it leaves before the brokers answer.
#[tokio::test]
async fn a_full_queue_makes_a_publish_wait_and_refuses_nothing() {
    let cluster = Cluster::start();
    let topic = cluster.topic("full", 4);
    let bus = cluster.bus("timeout=5m");
    declare(&bus, &topic).await;
    assert!(bus.publish(vec![outgoing(&topic, b"connected")]).await[0].is_accepted());
    cluster.0.broker_round_trip_time(1, Duration::from_millis(200)).expect("the one there is");
    let large = vec![b'x'; 700 * 1024];
    let outcomes = bus.publish((0..120).map(|_| outgoing(&topic, &large)).collect()).await;
    cluster.0.broker_round_trip_time(1, Duration::ZERO).expect("the one there is");
    assert!(outcomes.iter().all(PublishOutcome::is_accepted), "{outcomes:?}");
    close(&bus).await;
}

/// Paused partitions show in the window that does not grow, going on polling in a rebalance that is
/// served meanwhile.
#[tokio::test]
async fn a_member_with_a_full_window_reads_no_further_and_still_takes_part_in_rebalances() {
    let cluster = Cluster::start();
    let topic = cluster.topic("held", 2);
    let bus = cluster.bus("window=32&drain=0s");
    declare(&bus, &topic).await;
    let keyed = |number: u32| {
        let key = MessageKey::new(&format!("k{}", number % 16)).expect("legal");
        Outgoing::new(topic.clone(), Message::new(Seams::system().message_id("tests"), &b"{}"[..]).with_key(key))
    };
    let outcomes = bus.publish((0..4_000).map(keyed).collect()).await;
    assert!(outcomes.iter().all(PublishOutcome::is_accepted));
    let slow = receiver(&bus, &topic).await;
    let held = take(&slow, 64).await;

    let other = cluster.bus("");
    let quick = receiver(&other, &topic).await;
    let some = take(&quick, 100).await;
    let lags = bus.lag();
    assert_eq!(lags.len(), 1, "one of two partitions was given up: {lags:?}");
    assert!((32..=64).contains(&lags[0].window_count), "{lags:?}");
    let acked = quick.settle(some.into_iter().map(Delivery::ack).collect()).await;
    assert!(acked.iter().all(SettleOutcome::is_settled), "{acked:?}");

    // What is still its own it may settle, and reads on.
    let settled = slow.settle(held.into_iter().map(Delivery::ack).collect()).await;
    assert!(settled.iter().any(SettleOutcome::is_settled), "{settled:?}");
    drop(take(&slow, 32).await);
    close(&bus).await;
    close(&other).await;
}
