use bus::capability::{Durability, LeaseTerms, Order};
use bus::{Bus, Declaration, ErrorKind, PublishOutcome, SettleOutcome};
use bus_memory::{MemoryBus, MemoryOptions};

use crate::rig::*;

#[tokio::test(start_paused = true)]
async fn every_toggle_shows_in_the_capability() {
    let all_off = MemoryOptions {
        message_bytes_max: None,
        order: Order::None,
        delay_max: None,
        nack_delay_max: None,
        lease: LeaseTerms { duration: None, extendable: false, total_max: None },
        receive_count: false,
        dead_letters: false,
        groups: false,
        publish_atomic: false,
        settle_confirmed: false,
        ..MemoryOptions::default()
    };
    let bus = MemoryBus::new(seams(), all_off.clone());
    let capability = bus.capability();
    assert_eq!(capability.durability, Durability::Volatile);
    assert_eq!((capability.order, capability.lease), (all_off.order, all_off.lease));
    assert_eq!((capability.delay_max, capability.nack_delay_max, capability.message_bytes_max), (None, None, None));
    assert!(!capability.receive_count && !capability.dead_letters && !capability.groups);
    assert!(!capability.publish_atomic && !capability.settle_confirmed);
}

#[tokio::test(start_paused = true)]
async fn without_delays_a_delayed_message_is_refused_and_a_nack_returns_at_once() {
    let rig = Rig::with(MemoryOptions { delay_max: None, nack_delay_max: None, ..MemoryOptions::default() }).await;
    let outcomes = rig.bus.publish(vec![rig.outgoing("1").delayed(SECOND)]).await;
    assert!(
        matches!(&outcomes[..], [PublishOutcome::Refused(error)] if error.kind() == ErrorKind::Unsupported),
        "{outcomes:?}"
    );
    let receiver = rig.receiver().await;
    rig.publish(&["1"]).await;
    let delivery = rig.take_one(&receiver).await;
    settled(&receiver, delivery.nack(10 * SECOND)).await;
    assert_eq!(bodies(&rig.poll(&receiver).await), ["1"]);
}

#[tokio::test(start_paused = true)]
async fn without_dead_letters_a_reject_fails_and_the_message_stays() {
    let rig = Rig::with(MemoryOptions { dead_letters: false, ..MemoryOptions::default() }).await;
    let receiver = rig.receiver().await;
    rig.publish(&["1"]).await;
    let delivery = rig.take_one(&receiver).await;
    let outcomes = receiver.settle(vec![delivery.reject("bad")]).await;
    assert!(
        matches!(&outcomes[..], [SettleOutcome::Failed(error)] if error.kind() == ErrorKind::Unsupported),
        "{outcomes:?}"
    );
    assert_eq!(rig.take_one(&receiver).await.receive_count(), Some(2));
}

#[tokio::test(start_paused = true)]
async fn without_groups_declaring_one_is_refused() {
    let rig = Rig::with(MemoryOptions { groups: false, ..MemoryOptions::default() }).await;
    let error = rig.bus.declare(&[Declaration { destination: orders(), groups: vec![audit()] }]).await;
    assert_eq!(error.expect_err("no groups").kind(), ErrorKind::Unsupported);
}

#[tokio::test(start_paused = true)]
async fn without_receive_counts_none_is_told() {
    let rig = Rig::with(MemoryOptions { receive_count: false, ..MemoryOptions::default() }).await;
    let receiver = rig.receiver().await;
    rig.publish(&["1"]).await;
    assert_eq!(rig.take_one(&receiver).await.receive_count(), None);
}

#[tokio::test(start_paused = true)]
async fn unconfirmed_settlements_are_sent() {
    let rig = Rig::with(MemoryOptions { settle_confirmed: false, ..MemoryOptions::default() }).await;
    let receiver = rig.receiver().await;
    rig.publish(&["1"]).await;
    let delivery = rig.take_one(&receiver).await;
    let outcomes = receiver.settle(vec![delivery.ack()]).await;
    assert!(matches!(outcomes[..], [SettleOutcome::Sent]), "{outcomes:?}");
    assert!(rig.poll(&receiver).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_not_atomic_waits_message_by_message() {
    let options = MemoryOptions { publish_atomic: false, capacity_count: 2, ..MemoryOptions::default() };
    let rig = Rig::with(options).await;
    let receiver = rig.receiver().await;
    let consume = async {
        rig.sleep(SECOND).await;
        assert_eq!(rig.ready_count(), 2);
        let batch = rig.take(&receiver, 10).await;
        ack_all(&receiver, batch).await;
    };
    tokio::join!(rig.publish(&["1", "2", "3"]), consume);
    assert_eq!(bodies(&rig.poll(&receiver).await), ["3"]);
}
