//! Partitions that go from one member to another, seen through the bus.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bus::{
    Bus, ClockExt as _, Declaration, Delivery, Destination, Message, MessageKey, Outgoing, PublishOutcome,
    ReceiverExt as _, Seams, SettleOutcome,
};
use bus_kafka::KafkaBus;

use super::hand::{fresh, open, receiver, take};

const SOON: Duration = Duration::from_secs(20);

fn member(options: &str) -> Arc<KafkaBus> {
    open(&format!("{}?{options}", tests::brokers::url("kafka")))
}

async fn fresh_topic(bus: &Arc<KafkaBus>, name: &str) -> Destination {
    let destination = Destination::new(&fresh(name)).expect("legal");
    bus.declare(&[Declaration::of(destination.clone())]).await.expect("declared");
    destination
}

async fn publish(bus: &Arc<KafkaBus>, destination: &Destination, keys: impl Iterator<Item = u32>) {
    let seams = Seams::system();
    let message = |key: u32| {
        let key = MessageKey::new(&format!("k{key}")).expect("legal");
        Outgoing::new(destination.clone(), Message::new(seams.message_id("tests"), &b"{}"[..]).with_key(key))
    };
    let outcomes = bus.publish(keys.map(message).collect()).await;
    assert!(outcomes.iter().all(PublishOutcome::is_accepted), "{outcomes:?}");
}

pub(crate) async fn an_ack_of_a_partition_that_went_to_another_member_is_lease_lost() {
    let (first, second) = (member("partitions=2&drain=200ms"), member("partitions=2"));
    let topic = fresh_topic(&first, "fenced").await;
    publish(&first, &topic, 0..20).await;
    let old = receiver(&first, &topic).await;
    let held = take(&old, 20, SOON).await;
    // One of both partitions goes to the second member, with what was in hand of it.
    let new = receiver(&second, &topic).await;
    let lost: BTreeSet<_> = Seams::system().clock.timeout(SOON, old.lost()).await.expect("told").into_iter().collect();
    assert!(!lost.is_empty() && lost.len() < 20, "one partition of two: {}", lost.len());
    let lost_count = lost.len();
    for delivery in held {
        let is_lost = lost.contains(&delivery.token());
        let outcome = old.settle_one(delivery.ack()).await;
        assert_eq!(matches!(outcome, SettleOutcome::LeaseLost), is_lost, "{outcome:?}");
    }
    let again = take(&new, lost_count, SOON).await;
    assert_eq!(again.len(), lost_count, "what was lost comes again, and nothing else");
    let acked = new.settle(again.into_iter().map(Delivery::ack).collect()).await;
    assert!(acked.iter().all(SettleOutcome::is_settled), "{acked:?}");
    first.close(SOON).await.expect("closed");
    second.close(SOON).await.expect("closed");
}

/// The watermark stands before the one that was not settled; what was settled beyond it is named in
/// the commit's metadata.
pub(crate) async fn what_was_settled_out_of_order_does_not_come_again_to_the_next_member() {
    let first = member("partitions=1");
    let topic = fresh_topic(&first, "beyond").await;
    publish(&first, &topic, 0..100).await;
    let old = receiver(&first, &topic).await;
    let mut held = take(&old, 100, SOON).await;
    let unsettled = held.remove(3);
    let kept = unsettled.message().id().clone();
    let settled = old.settle(held.into_iter().map(Delivery::ack).collect()).await;
    assert!(settled.iter().all(SettleOutcome::is_settled), "{settled:?}");
    let lag = first.lag();
    assert_eq!((lag[0].watermark, lag[0].window_count, lag[0].settled_count), (Some(3), 97, 96), "{lag:?}");
    drop(unsettled);
    first.close(SOON).await.expect("closed");
    let second = member("partitions=1");
    let new = receiver(&second, &topic).await;
    let again = take(&new, 1, SOON).await;
    assert_eq!(again[0].message().id(), &kept);
    let mut more = Vec::new();
    let waited = Seams::system().clock.timeout_here(Duration::from_secs(2), new.receive(100, &mut more)).await;
    assert!(waited.is_none(), "{} more came again", more.len());
    second.close(SOON).await.expect("closed");
}
