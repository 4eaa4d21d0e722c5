//! Lifecycle: stopping, closing, coming back, and going on after errors.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use crate::conformance::World;
use crate::conformance::consume::came;
use crate::conformance::world::bodies;
use crate::{
    Bus, BusState, Declaration, Delivery, Destination, Error, ErrorKind, ExtendOutcome, Lease, Outgoing,
    PublishOutcome, Receiver, Result, Returns, SettleOutcome, Settlement, SubscribeOptions, Subscription, Token,
};

super::cases! { "lifecycle":
    closing_twice_is_no_error,
    closing_ends_a_blocked_receive,
    a_closed_bus_settles_what_it_had_in_hand_no_more,
    what_a_closed_bus_had_in_hand_comes_again_after_a_reconnect [Durable],
    settlements_answered_before_a_close_hold_after_a_reconnect [Durable],
    settlements_under_way_while_the_bus_closes_are_answered_truly [Durable],
    accepted_messages_are_there_after_a_reconnect [Durable],
    stopping_ends_a_blocked_receive_and_settling_goes_on,
    a_closed_receiver_gives_what_it_had_to_another,
    a_dropped_receiver_gives_what_it_had_to_another,
    every_call_after_close_is_closed,
    ten_connections_open_and_close_at_once,
    the_bus_goes_on_after_three_times_a_hundred_errors,
}

/// Long enough for a flush of what a case has under way.
const CLOSE: Duration = Duration::from_secs(30);

async fn closed(bus: &Arc<dyn Bus>) {
    bus.close(CLOSE).await.expect("what is idle closes in time");
}

/// Asserts that `receive` is ended by `end`, with `Closed`.
async fn assert_ends_receive(world: &World, receiver: &Arc<dyn Receiver>, end: impl Future<Output = ()>) {
    let mut into = Vec::new();
    let receiving = async {
        tokio::join!(receiver.receive(10, &mut into), async {
            world.sleep(world.unit() / 10).await;
            end.await;
        })
        .0
    };
    let answer = world.in_time(receiving).await.expect("a receive that is blocked ends");
    assert_eq!(answer.expect_err("there was nothing to receive").kind(), ErrorKind::Closed);
    assert_eq!(bodies(&into), [""; 0]);
}

fn assert_not_settled(outcomes: &[SettleOutcome]) {
    assert!(outcomes.iter().all(|outcome| !outcome.is_settled()), "settled too late: {outcomes:?}");
}

async fn closing_twice_is_no_error(world: &World) {
    world.publish(&world.declared("twice").await, &["1"]).await;
    closed(&world.bus).await;
    closed(&world.bus).await;
}

async fn closing_ends_a_blocked_receive(world: &World) {
    let receiver = world.receiver(&world.declared("blocked").await).await;
    assert_ends_receive(world, &receiver, closed(&world.bus)).await;
}

async fn a_closed_bus_settles_what_it_had_in_hand_no_more(world: &World) {
    let destination = world.declared("in-hand").await;
    let receiver = world.receiver(&destination).await;
    world.publish(&destination, &["1", "2", "3"]).await;
    let held = world.take(&receiver, 2).await;
    closed(&world.bus).await;
    let late: Vec<Settlement> = held.into_iter().map(Delivery::ack).collect();
    let outcomes = receiver.settle(late).await;
    assert_eq!(outcomes.len(), 2);
    assert_not_settled(&outcomes);
}

async fn what_a_closed_bus_had_in_hand_comes_again_after_a_reconnect(world: &World) {
    let destination = world.declared("comes-again").await;
    let receiver = world.receiver(&destination).await;
    world.publish(&destination, &["1", "2", "3"]).await;
    let held = world.take(&receiver, 2).await;
    let bus = world.reconnect().await;
    assert_not_settled(&receiver.settle(held.into_iter().map(Delivery::ack).collect()).await);
    let mut found = came(&world.consume(&[world.receiver_on(&bus, &destination).await], 3).await);
    found.sort();
    assert_eq!(found, ["1", "2", "3"]);
}

async fn settlements_answered_before_a_close_hold_after_a_reconnect(world: &World) {
    let destination = world.declared("flushed").await;
    let receiver = world.receiver(&destination).await;
    let sent: Vec<String> = (0..50).map(|number| number.to_string()).collect();
    world.publish(&destination, &sent.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let held = world.take(&receiver, sent.len()).await;
    world.ack(&receiver, held).await;
    let bus = world.reconnect().await;
    world.nothing_comes(&world.receiver_on(&bus, &destination).await, "all was acknowledged").await;
}

async fn settlements_under_way_while_the_bus_closes_are_answered_truly(world: &World) {
    let destination = world.declared("under-way").await;
    let receiver = world.receiver(&destination).await;
    world.publish(&destination, &["1", "2", "3", "4"]).await;
    let held = world.take(&receiver, 4).await;
    let acked = bodies(&held);
    let settling = receiver.settle(held.into_iter().map(Delivery::ack).collect());
    let (outcomes, bus) = tokio::join!(settling, world.reconnect());
    let lost_count = outcomes.iter().filter(|outcome| matches!(outcome, SettleOutcome::LeaseLost)).count();
    let receiver = world.receiver_on(&bus, &destination).await;
    let [left] = world.poll_until([&receiver], |[left]| left.len() >= lost_count).await;
    let left = bodies(&left);
    for (body, outcome) in acked.iter().zip(&outcomes) {
        assert!(
            !matches!(outcome, SettleOutcome::LeaseLost) || left.contains(body),
            "{body} was not settled and is gone"
        );
        assert!(!outcome.is_settled() || !left.contains(body), "{body} was settled and came again");
    }
}

async fn accepted_messages_are_there_after_a_reconnect(world: &World) {
    let destination = world.declared("accepted").await;
    let sent: Vec<String> = (0..50).map(|number| number.to_string()).collect();
    world.publish(&destination, &sent.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let bus = world.reconnect().await;
    let mut found = came(&world.consume(&[world.receiver_on(&bus, &destination).await], sent.len()).await);
    found.sort_by_key(|body| body.parse::<usize>().expect("a number was sent"));
    assert_eq!(found, sent);
}

async fn stopping_ends_a_blocked_receive_and_settling_goes_on(world: &World) {
    let destination = world.declared("stop").await;
    let receiver = world.receiver(&destination).await;
    world.publish(&destination, &["1", "2"]).await;
    let held = world.take(&receiver, 2).await;
    let stop = async {
        receiver.stop();
        receiver.stop();
    };
    assert_ends_receive(world, &receiver, stop).await;
    world.ack(&receiver, held).await;
    receiver.close().await;
    world.nothing_comes(&world.receiver(&destination).await, "what was settled after the stop is settled").await;
}

async fn a_closed_receiver_gives_what_it_had_to_another(world: &World) {
    let destination = world.declared("closed").await;
    let receiver = world.receiver(&destination).await;
    world.publish(&destination, &["1", "2"]).await;
    let held = world.take(&receiver, 2).await;
    receiver.close().await;
    receiver.close().await;
    let others = world.receivers::<1>(&destination).await;
    let closed_at = world.seams.clock.now();
    let mut found = came(&world.consume(&others, 2).await);
    found.sort();
    assert_eq!(found, ["1", "2"]);
    world.assert_at_once(closed_at);
    assert_not_settled(&receiver.settle(held.into_iter().map(Delivery::ack).collect()).await);
}

async fn a_dropped_receiver_gives_what_it_had_to_another(world: &World) {
    let destination = world.declared("dropped").await;
    let receiver = world.receiver(&destination).await;
    world.publish(&destination, &["1", "2"]).await;
    let held = world.take(&receiver, 2).await;
    let others = world.receivers::<1>(&destination).await;
    drop(receiver);
    let dropped_at = world.seams.clock.now();
    let mut found = came(&world.consume(&others, 2).await);
    found.sort();
    assert_eq!(found, ["1", "2"]);
    world.assert_at_once(dropped_at);
    drop(held);
}

async fn every_call_after_close_is_closed(world: &World) {
    let destination = world.declared("after-close").await;
    let (receiver, subscription) = (world.receiver(&destination).await, Subscription::to(destination.clone()));
    world.publish(&destination, &["1"]).await;
    let held = world.take_one(&receiver).await;
    let token = held.token();
    closed(&world.bus).await;
    let bus = &world.bus;
    assert_closed("declare", bus.declare(&[Declaration::of(destination.clone())]).await);
    assert_closed("subscribe", bus.subscribe(&subscription, SubscribeOptions::default()).await.map(drop));
    assert_closed("depth", bus.depth(&subscription).await.map(drop));
    assert_closed("purge", bus.purge(&subscription).await);
    assert_closed("receive", receiver.receive(1, &mut Vec::new()).await);
    let outcomes = bus.publish(vec![Outgoing::new(destination, world.message("2"))]).await;
    let is_refused = matches!(&outcomes[..], [PublishOutcome::Refused(error)] if error.kind() == ErrorKind::Closed);
    assert!(is_refused, "publish after close: {outcomes:?}");
    assert!(matches!(bus.state(), BusState::Down(_)), "{}", bus.state());
    assert_not_settled(&receiver.settle(vec![held.nack(Duration::ZERO)]).await);
    let extended = receiver.extend(&[token], world.unit()).await;
    assert!(matches!(extended[..], [ExtendOutcome::LeaseLost | ExtendOutcome::Failed(_)]), "{extended:?}");
    receiver.close().await;
}

fn assert_closed(call: &str, answer: Result<()>) {
    let error = answer.err().unwrap_or_else(|| panic!("{call} works after close"));
    assert_eq!(error.kind(), ErrorKind::Closed, "{call} after close: {error}");
}

async fn ten_connections_open_and_close_at_once(world: &World) {
    let destination = world.declared("ten").await;
    world.publish(&destination, &["1"]).await;
    let lives = (0..10).map(|_| async {
        let bus = world.connect().await;
        // Where every connection is the same bus, another may have closed it by now.
        match bus.subscribe(&Subscription::to(destination.clone()), SubscribeOptions::default()).await {
            Ok(receiver) => receiver.close().await,
            Err(error) => assert_eq!(error.kind(), ErrorKind::Closed, "{error}"),
        }
        closed(&bus).await;
        assert!(matches!(bus.state(), BusState::Down(_)), "{}", bus.state());
    });
    assert!(world.in_time(join_all(lives)).await.is_some(), "ten connections stand in each other's way");
}

async fn the_bus_goes_on_after_three_times_a_hundred_errors(world: &World) {
    let (destination, nowhere) = (world.declared("goes-on").await, world.undeclared("nowhere"));
    let receiver = world.receiver(&destination).await;
    for round in 0..100 {
        let outcomes = world.bus.publish(vec![Outgoing::new(nowhere.clone(), world.message("lost"))]).await;
        assert!(matches!(&outcomes[..], [PublishOutcome::Refused(_)]), "{outcomes:?}");
        let nowhere = Subscription::to(nowhere.clone());
        let error: Option<Error> = world.bus.subscribe(&nowhere, SubscribeOptions::default()).await.err();
        assert_eq!(error.expect("nothing is there").kind(), ErrorKind::NotFound);
        works(world, &destination, &receiver, &format!("round {round}")).await;
    }
}

/// Publishes, receives, acknowledges, and settles once more what is settled.
async fn works(world: &World, destination: &Destination, receiver: &Arc<dyn Receiver>, body: &str) {
    world.publish(destination, &[body]).await;
    let delivery = world.take_one(receiver).await;
    let again =
        Delivery::new(delivery.message().clone(), delivery.token(), Lease { deadline: None }, None, Arc::new(Nobody));
    world.ack(receiver, vec![delivery]).await;
    assert_not_settled(&receiver.settle(vec![again.ack()]).await);
}

/// Takes nothing back.
struct Nobody;

impl Returns for Nobody {
    fn give_back(&self, _: Token) {}
}
