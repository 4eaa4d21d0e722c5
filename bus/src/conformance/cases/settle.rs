//! Settling: what an ack, a nack and a dropped delivery do.

use std::time::Duration;

use crate::conformance::World;
use crate::conformance::world::body;
use crate::{ErrorKind, SettleOutcome, SubscribeOptions, Subscription};

super::cases! { "settle":
    an_acked_message_is_gone_for_good,
    a_nacked_message_comes_again_at_once,
    a_nack_delay_is_never_cut_short_and_the_message_comes [NackDelay],
    a_nack_delay_over_the_cap_fails_and_the_delivery_stays_ours [NackDelay],
    a_nack_returns_at_once_where_there_are_no_nack_delays [NoNackDelay],
    a_dropped_delivery_comes_again_at_once,
    a_decision_dropped_unsent_is_none,
    the_receive_count_grows_by_one_with_each_hand_out [ReceiveCount],
    no_receive_count_is_told_where_none_is_kept [NoReceiveCount],
    a_redelivered_message_is_the_same_message,
}

/// Not after its lease, not for another receiver, and not over another connection.
async fn an_acked_message_is_gone_for_good(world: &World) {
    let destination = world.declared("acked").await;
    let receiver = world.leasing(&destination, 4).await;
    world.publish(&destination, &["1", "2", "3"]).await;
    let deliveries = world.take(&receiver, 3).await;
    world.ack(&receiver, deliveries).await;
    world.nothing_comes(&receiver, "it was acked").await;
    world.sleep(5 * world.unit()).await;
    world.nothing_comes(&receiver, "it was acked before its lease ended").await;
    drop(receiver);
    let again = world.connect().await;
    let receiver = again.subscribe(&Subscription::to(destination), SubscribeOptions::default()).await;
    world.nothing_comes(&receiver.expect("it is declared"), "it was acked over another connection").await;
}

async fn a_nacked_message_comes_again_at_once(world: &World) {
    let destination = world.declared("nacked").await;
    let receiver = world.receiver(&destination).await;
    world.publish(&destination, &["1", "2"]).await;
    let [first, second] = world.take_bodies(&receiver, ["1", "2"]).await;
    world.settle(&receiver, vec![first.nack(Duration::ZERO)]).await;
    assert_eq!(body(&world.take_one(&receiver).await), "1");
    world.ack(&receiver, vec![second]).await;
}

async fn a_nack_delay_is_never_cut_short_and_the_message_comes(world: &World) {
    let destination = world.declared("delayed").await;
    let receiver = world.receiver(&destination).await;
    let cap = world.capability().nack_delay_max.expect("the case needs it");
    for unit_count in [1, 2, 5] {
        let delay = (unit_count * world.unit()).min(cap);
        world.publish(&destination, &["1"]).await;
        let delivery = world.take_one(&receiver).await;
        let not_before = world.seams.clock.now() + delay;
        world.settle(&receiver, vec![delivery.nack(delay)]).await;
        let again = world.take_one(&receiver).await;
        let now = world.seams.clock.now();
        assert!(now >= not_before, "{:?} early, of {delay:?}", not_before.since(now));
        world.ack(&receiver, vec![again]).await;
    }
}

async fn a_nack_delay_over_the_cap_fails_and_the_delivery_stays_ours(world: &World) {
    let destination = world.declared("capped").await;
    let receiver = world.receiver(&destination).await;
    let cap = world.capability().nack_delay_max.expect("the case needs it");
    world.publish(&destination, &["1"]).await;
    let delivery = world.take_one(&receiver).await;
    let successor = world.successor(&receiver, &destination).await;
    let outcome = world.settle_one(&receiver, delivery.nack(cap + world.unit())).await;
    assert!(
        matches!(&outcome, SettleOutcome::Failed(error) if error.kind() == ErrorKind::Unsupported),
        "too long for this bus: {outcome:?}"
    );
    world.nothing_comes(&successor, "it was not given back").await;
    receiver.close().await;
    assert_eq!(body(&world.take_one(&successor).await), "1");
}

async fn a_nack_returns_at_once_where_there_are_no_nack_delays(world: &World) {
    let destination = world.declared("at-once").await;
    let receiver = world.receiver(&destination).await;
    world.publish(&destination, &["1"]).await;
    let delivery = world.take_one(&receiver).await;
    world.settle(&receiver, vec![delivery.nack(60 * world.unit())]).await;
    assert_eq!(body(&world.take_one(&receiver).await), "1");
}

/// Whole, and taken apart: the duty to settle alone.
async fn a_dropped_delivery_comes_again_at_once(world: &World) {
    let destination = world.declared("dropped").await;
    let receiver = world.receiver(&destination).await;
    world.publish(&destination, &["1"]).await;
    drop(world.take_one(&receiver).await);
    let (_message, duty) = world.take_one(&receiver).await.split();
    drop(duty);
    assert_eq!(body(&world.take_one(&receiver).await), "1");
}

async fn a_decision_dropped_unsent_is_none(world: &World) {
    let destination = world.declared("undecided").await;
    let receiver = world.receiver(&destination).await;
    world.publish(&destination, &["1"]).await;
    drop(world.take_one(&receiver).await.ack());
    drop(world.take_one(&receiver).await.nack(60 * world.unit()));
    drop(world.take_one(&receiver).await.reject("never sent"));
    assert_eq!(body(&world.take_one(&receiver).await), "1");
}

async fn the_receive_count_grows_by_one_with_each_hand_out(world: &World) {
    let destination = world.declared("counted").await;
    let receiver = world.receiver(&destination).await;
    world.publish(&destination, &["1"]).await;
    for expected in 1..=5 {
        let delivery = world.take_one(&receiver).await;
        assert_eq!(delivery.receive_count(), Some(expected));
        match expected % 2 {
            0 => drop(delivery),
            _ => world.settle(&receiver, vec![delivery.nack(Duration::ZERO)]).await,
        }
    }
}

async fn no_receive_count_is_told_where_none_is_kept(world: &World) {
    let destination = world.declared("uncounted").await;
    let receiver = world.receiver(&destination).await;
    world.publish(&destination, &["1"]).await;
    for _ in 0..2 {
        let delivery = world.take_one(&receiver).await;
        assert_eq!(delivery.receive_count(), None);
        world.settle(&receiver, vec![delivery.nack(Duration::ZERO)]).await;
    }
}

async fn a_redelivered_message_is_the_same_message(world: &World) {
    let destination = world.declared("same").await;
    let receiver = world.receiver(&destination).await;
    world.publish_keyed(&destination, "ORD-1", &["1"]).await;
    let delivery = world.take_one(&receiver).await;
    let first = delivery.message().clone();
    world.settle(&receiver, vec![delivery.nack(Duration::ZERO)]).await;
    let again = world.take_one(&receiver).await;
    assert_eq!(again.message(), &first, "with the id, key, headers and body of the first time");
}
