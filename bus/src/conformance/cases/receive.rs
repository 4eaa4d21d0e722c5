//! Receiving: what comes, to whom, and how much of it.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::FutureExt;

use crate::conformance::World;
use crate::conformance::world::{bodies, body};
use crate::{ClockExt, Delivery, SubscribeOptions, Subscription};

super::cases! { "receive":
    a_late_subscriber_gets_what_waits,
    a_waiting_receiver_wakes_when_something_comes,
    receive_appends_at_least_one_and_at_most_as_many_as_asked_for,
    prefetch_bounds_what_a_receiver_holds,
    competing_receivers_share_and_none_gets_what_another_has,
    a_receive_cancelled_at_any_time_loses_nothing,
}

async fn a_late_subscriber_gets_what_waits(world: &World) {
    let destination = world.declared("late").await;
    world.publish(&destination, &["1", "2"]).await;
    world.sleep(2 * world.unit()).await;
    let receiver = world.receiver(&destination).await;
    let _both = world.take_bodies(&receiver, ["1", "2"]).await;
}

async fn a_waiting_receiver_wakes_when_something_comes(world: &World) {
    let destination = world.declared("wakes").await;
    let receiver = world.receiver(&destination).await;
    let publish = async {
        world.sleep(2 * world.unit()).await;
        world.publish(&destination, &["1"]).await;
    };
    let (delivery, ()) = tokio::join!(world.take_one(&receiver), publish);
    assert_eq!(body(&delivery), "1");
}

async fn receive_appends_at_least_one_and_at_most_as_many_as_asked_for(world: &World) {
    let destination = world.declared("appends").await;
    let receiver = world.receiver(&destination).await;
    world.publish(&destination, &["1", "2", "3", "4", "5"]).await;
    let mut into: Vec<Delivery> = Vec::new();
    while into.len() < 5 {
        let before: Vec<_> = into.iter().map(Delivery::token).collect();
        receiver.receive(2, &mut into).await.expect("an open receiver receives");
        let appended_count = into.len() - before.len();
        assert!((1..=2).contains(&appended_count), "{appended_count} were appended");
        assert!(into.iter().map(Delivery::token).take(before.len()).eq(before), "what was there stays");
    }
    assert_eq!(bodies(&into).into_iter().collect::<BTreeSet<_>>().len(), 5, "each once");
}

async fn prefetch_bounds_what_a_receiver_holds(world: &World) {
    let destination = world.declared("prefetch").await;
    let options = SubscribeOptions { prefetch_count_max: 2, ..world.options() };
    let receiver = world.receiver_of(&Subscription::to(destination.clone()), options).await;
    world.publish(&destination, &["1", "2", "3"]).await;
    let mut held = world.take(&receiver, 2).await;
    world.nothing_comes(&receiver, "it holds all it may have").await;
    let settled = held.remove(0);
    let settle = async {
        world.sleep(world.unit()).await;
        world.ack(&receiver, vec![settled]).await;
    };
    let (next, ()) = tokio::join!(world.take_one(&receiver), settle);
    assert_ne!(body(&next), body(&held[0]), "settling one makes room for another");
}

/// How many each gets depends on the broker; that all get all of it together does not.
async fn competing_receivers_share_and_none_gets_what_another_has(world: &World) {
    let destination = world.declared("shared").await;
    let options = SubscribeOptions { prefetch_count_max: 4, ..world.options() };
    let subscription = Subscription::to(destination.clone());
    let mut receivers = Vec::new();
    for _ in 0..3 {
        receivers.push(world.receiver_of(&subscription, options).await);
    }
    let sent: BTreeSet<String> = (0..24).map(|number| number.to_string()).collect();
    world.publish(&destination, &sent.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let mut received = BTreeSet::new();
    while received.len() < sent.len() {
        let mut held = Vec::new();
        for receiver in &receivers {
            let batch = world.poll(receiver).await;
            for body in bodies(&batch) {
                assert!(received.insert(body.clone()), "{body} came to two receivers, or twice");
            }
            held.push(batch);
        }
        assert!(held.iter().any(|batch| !batch.is_empty()), "only {} of 24 came", received.len());
        for (receiver, batch) in receivers.iter().zip(held) {
            world.ack(receiver, batch).await;
        }
    }
    assert_eq!(received, sent);
}

/// Dropped after one poll, and while messages come in.
async fn a_receive_cancelled_at_any_time_loses_nothing(world: &World) {
    let destination = world.declared("cancelled").await;
    let receiver = world.receiver(&destination).await;
    let mut received: Vec<Delivery> = Vec::new();
    for number in 0..20 {
        let _ = receiver.receive(2, &mut received).now_or_never();
        world.publish(&destination, &[&format!("{number}/a"), &format!("{number}/b")]).await;
        let _ = receiver.receive(1, &mut received).now_or_never();
        let soon = world.unit() / 100;
        let _ = world.seams.clock.timeout_here(soon, receiver.receive(1, &mut received)).await;
    }
    received.extend(world.take(&receiver, 40 - received.len()).await);
    let distinct: BTreeSet<String> = bodies(&received).into_iter().collect();
    assert_eq!(distinct.len(), 40, "each once: {:?}", bodies(&received));
    world.settle(&receiver, received.into_iter().map(|delivery| delivery.nack(Duration::ZERO)).collect()).await;
    assert_eq!(world.take(&receiver, 40).await.len(), 40, "and each can still be given back");
}
