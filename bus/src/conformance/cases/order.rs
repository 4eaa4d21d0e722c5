//! Order: what a bus that promises it per key keeps, whatever becomes of a delivery.
//!
//! Who gets a key is the bus's choice, and so is whether its holder may have several messages of it.
//! The promise is that a message comes only when all before it are settled, or to who has those.

use std::time::Duration;

use crate::conformance::World;
use crate::conformance::consume::{assert_order_per_key, came, came_at};
use crate::{Destination, Outgoing, SubscribeOptions, Subscription};

super::cases! { "order":
    a_key_keeps_its_order_over_competing_receivers [OrderPerKey],
    a_key_keeps_its_order_over_a_nack [OrderPerKey],
    nothing_overtakes_a_message_of_its_key_that_was_nacked_with_a_delay [OrderPerKey, NackDelay],
    a_key_keeps_its_order_over_a_dropped_delivery [OrderPerKey],
    a_key_keeps_its_order_when_its_holder_crashes_and_its_lease_expires [OrderPerKey, Lease],
    a_key_keeps_its_order_when_its_holder_closes_and_another_goes_on [OrderPerKey],
    followers_in_hand_come_back_behind_their_head [OrderPerKey],
    a_key_in_hand_holds_no_other_key_up [OrderPerKey],
}

/// Publishes messages whose key is the text before the digits.
async fn publish(world: &World, destination: &Destination, bodies: &[&str]) {
    let batch = bodies.iter().map(|body| {
        let key = body.trim_end_matches(|character: char| character.is_ascii_digit());
        Outgoing::new(destination.clone(), world.keyed(key, body))
    });
    world.publish_all(batch.collect()).await;
}

async fn a_key_keeps_its_order_over_competing_receivers(world: &World) {
    let destination = world.declared("competing").await;
    let receivers = world.receivers::<4>(&destination).await;
    let publishing = async {
        for number in 1..=25 {
            let bodies: Vec<String> = ('a'..='h').map(|key| format!("{key}{number}")).collect();
            publish(world, &destination, &bodies.iter().map(String::as_str).collect::<Vec<_>>()).await;
        }
    };
    let ((), events) = tokio::join!(publishing, world.consume(&receivers, 8 * 25));
    assert_order_per_key(&events);
}

async fn a_key_keeps_its_order_over_a_nack(world: &World) {
    let destination = world.declared("nack").await;
    let receivers = world.receivers::<2>(&destination).await;
    publish(world, &destination, &["a1", "a2", "a3", "a4"]).await;
    for _ in 0..3 {
        let head = world.take_one(&receivers[0]).await;
        world.settle(&receivers[0], vec![head.nack(Duration::ZERO)]).await;
    }
    assert_order_per_key(&world.consume(&receivers, 4).await);
}

async fn nothing_overtakes_a_message_of_its_key_that_was_nacked_with_a_delay(world: &World) {
    let destination = world.declared("nack-delay").await;
    let receivers = world.receivers::<2>(&destination).await;
    publish(world, &destination, &["a1"]).await;
    let head = world.take_one(&receivers[0]).await;
    publish(world, &destination, &["a2", "b1"]).await;
    let (nacked_at, delay) = (world.seams.clock.now(), 3 * world.unit());
    world.settle(&receivers[0], vec![head.nack(delay)]).await;
    let events = world.consume(&receivers, 3).await;
    assert_order_per_key(&events);
    assert!(came_at(&events, "a1") >= nacked_at + delay, "not before its delay has passed");
    assert_eq!(came(&events)[0], "b1", "other keys flow meanwhile");
}

async fn a_key_keeps_its_order_over_a_dropped_delivery(world: &World) {
    let destination = world.declared("drop").await;
    let receivers = world.receivers::<2>(&destination).await;
    publish(world, &destination, &["a1", "a2", "a3"]).await;
    drop(world.take_one(&receivers[0]).await);
    assert_order_per_key(&world.consume(&receivers, 3).await);
}

async fn a_key_keeps_its_order_when_its_holder_crashes_and_its_lease_expires(world: &World) {
    let destination = world.declared("crash").await;
    let options = SubscribeOptions { prefetch_count_max: 1, lease: Some(world.unit()) };
    let crashing = world.receiver_of(&Subscription::to(destination.clone()), options).await;
    let others = world.receivers::<2>(&destination).await;
    publish(world, &destination, &["a1", "a2", "a3"]).await;
    let held = world.take_one(&crashing).await;
    let deadline = held.lease().deadline.expect("a lease that ends says when");
    let events = world.consume(&others, 3).await;
    assert_order_per_key(&events);
    assert!(came_at(&events, "a1") >= deadline, "it is the holder's until its lease ends");
    drop(held);
}

async fn a_key_keeps_its_order_when_its_holder_closes_and_another_goes_on(world: &World) {
    let destination = world.declared("rebalance").await;
    let leaving = world.receiver(&destination).await;
    publish(world, &destination, &["a1", "a2", "a3"]).await;
    let held = world.take_one(&leaving).await;
    let others = world.receivers::<2>(&destination).await;
    let close = async {
        world.sleep(world.unit() / 10).await;
        leaving.close().await;
    };
    let ((), events) = tokio::join!(close, world.consume(&others, 3));
    assert_order_per_key(&events);
    drop(held);
}

async fn followers_in_hand_come_back_behind_their_head(world: &World) {
    let destination = world.declared("followers").await;
    let (holder, others) = (world.receiver(&destination).await, world.receivers::<2>(&destination).await);
    publish(world, &destination, &["a1", "a2", "a3", "a4"]).await;
    let head = world.take_one(&holder).await;
    let followers = world.poll(&holder).await;
    world.settle(&holder, vec![head.nack(Duration::ZERO)]).await;
    let release = async {
        world.sleep(world.unit() / 10).await;
        world.release(&holder, followers).await;
    };
    let ((), events) = tokio::join!(release, world.consume(&others, 4));
    assert_order_per_key(&events);
}

async fn a_key_in_hand_holds_no_other_key_up(world: &World) {
    let destination = world.declared("others").await;
    let receivers = world.receivers::<2>(&destination).await;
    publish(world, &destination, &["a1"]).await;
    let held = world.take_one(&receivers[0]).await;
    publish(world, &destination, &["a2", "b1", "a3", "c1", "b2"]).await;
    let others = ["b1", "b2", "c1"];
    world
        .consume_until(&receivers, |events| others.iter().all(|body| came(events).contains(&(*body).to_owned())))
        .await;
    world.ack(&receivers[0], vec![held]).await;
}
