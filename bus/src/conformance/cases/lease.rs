//! Leases: until when a delivery is ours, and how we learn that it is not.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;

use crate::conformance::World;
use crate::conformance::world::body;
use crate::{ClockExt, Delivery, Moment, Receiver, SettleOutcome, Token};

super::cases! { "lease":
    a_delivery_tells_when_its_lease_ends [Lease],
    an_ended_lease_redelivers_while_the_first_handler_still_has_the_delivery [Lease],
    settling_after_the_lease_was_lost_is_lease_lost_and_settles_nothing [Lease],
    lost_names_exactly_the_lost_leases_without_anybody_receiving [Lease],
    a_dropped_lost_call_loses_nothing [Lease],
    a_receiver_chooses_its_lease [Lease],
    a_delivery_is_held_until_settled_where_there_are_no_leases [NoLease],
}

async fn a_delivery_tells_when_its_lease_ends(world: &World) {
    let destination = world.declared("told").await;
    let receiver = world.leasing(&destination, 4).await;
    world.publish(&destination, &["1"]).await;
    let delivery = world.take_one(&receiver).await;
    let (now, deadline) = (world.seams.clock.now(), deadline(&delivery));
    assert!(deadline > now, "it is ours now");
    assert!(deadline <= now + 4 * world.unit(), "and not longer than was asked for");
}

async fn an_ended_lease_redelivers_while_the_first_handler_still_has_the_delivery(world: &World) {
    let destination = world.declared("ended").await;
    let receiver = world.leasing(&destination, 3).await;
    world.publish(&destination, &["1"]).await;
    let held = world.take_one(&receiver).await;
    let successor = world.successor(&receiver, &destination).await;
    let again = world.take_one(&successor).await;
    assert!(world.seams.clock.now() >= deadline(&held), "not before the lease has ended");
    assert_eq!(again.message().id(), held.message().id());
    if world.capability().receive_count {
        assert_eq!(again.receive_count(), Some(2));
    }
    world.ack(&successor, vec![again]).await;
}

/// None of the three verdicts, and whether or not somebody else has it by now.
async fn settling_after_the_lease_was_lost_is_lease_lost_and_settles_nothing(world: &World) {
    let destination = world.declared("late").await;
    // Too long for this bus; but that it comes too late is told first.
    let too_long = world.capability().nack_delay_max.map_or(Duration::ZERO, |cap| cap + world.unit());
    for (is_with_another, after) in [(false, Duration::ZERO), (true, too_long)] {
        world.publish(&destination, &["ack", "nack", "reject"]).await;
        let slow = world.leasing(&destination, 2).await;
        let held = world.take(&slow, 3).await;
        let next = world.successor(&slow, &destination).await;
        world.sleep(4 * world.unit()).await;
        let taken_over = if is_with_another { world.take(&next, 3).await } else { Vec::new() };
        let late = held.into_iter().map(|delivery| match &*body(&delivery) {
            "ack" => delivery.ack(),
            "nack" => delivery.nack(after),
            _ => delivery.reject("late"),
        });
        let outcomes = slow.settle(late.collect()).await;
        assert_eq!(outcomes.len(), 3);
        assert!(
            outcomes.iter().all(|outcome| matches!(outcome, SettleOutcome::LeaseLost)),
            "all three come too late: {outcomes:?}"
        );
        let again = if is_with_another { taken_over } else { world.take(&next, 3).await };
        world.nothing_comes(&next, "a late nack gives nothing back").await;
        world.ack(&next, again).await;
    }
    if world.capability().dead_letters {
        world.nothing_comes(&world.graves(&destination).await, "a late reject buries nothing").await;
    }
}

async fn lost_names_exactly_the_lost_leases_without_anybody_receiving(world: &World) {
    let destination = world.declared("lost").await;
    let receiver = world.leasing(&destination, 4).await;
    let hand_out = async {
        world.sleep(world.unit()).await;
        world.publish(&destination, &["1", "2", "3"]).await;
        let mut held = world.take(&receiver, 3).await;
        world.ack(&receiver, vec![held.remove(0)]).await;
        held
    };
    // It waits already when the deliveries come.
    let (mut lost, held) = tokio::join!(lost_soon(world, &receiver), hand_out);
    let mut expected: Vec<Token> = held.iter().map(Delivery::token).collect();
    while lost.len() < expected.len() {
        lost.extend(lost_soon(world, &receiver).await);
    }
    lost.sort_unstable();
    expected.sort_unstable();
    assert_eq!(lost, expected, "those that were not settled, and no others");
    let more = world.seams.clock.timeout_here(world.patience(), receiver.lost()).await;
    assert_eq!(more, None, "each is told once");
}

/// Dropped while it waits, and polled once after there is something to tell.
async fn a_dropped_lost_call_loses_nothing(world: &World) {
    let destination = world.declared("dropped").await;
    let receiver = world.leasing(&destination, 4).await;
    world.publish(&destination, &["1"]).await;
    let held = world.take_one(&receiver).await;
    let early = world.seams.clock.timeout_here(world.patience(), receiver.lost()).await;
    assert_eq!(early, None, "its lease has not ended");
    world.sleep(6 * world.unit()).await;
    let polled = receiver.lost().now_or_never();
    let lost = match polled {
        Some(lost) => lost,
        None => lost_soon(world, &receiver).await,
    };
    assert_eq!(lost, [held.token()]);
}

async fn a_receiver_chooses_its_lease(world: &World) {
    let (one, two) = (world.declared("one").await, world.declared("two").await);
    let (short, long) = (world.leasing(&one, 2).await, world.receiver(&two).await);
    world.publish(&one, &["1"]).await;
    world.publish(&two, &["2"]).await;
    let held_long = world.take_one(&long).await;
    let held_short = world.take_one(&short).await;
    assert!(deadline(&held_short) < deadline(&held_long), "each as long as it was asked for");
    assert_eq!(lost_soon(world, &short).await, [held_short.token()]);
    world.sleep(4 * world.unit()).await;
    world.ack(&long, vec![held_long]).await;
}

async fn a_delivery_is_held_until_settled_where_there_are_no_leases(world: &World) {
    let destination = world.declared("held").await;
    let receiver = world.leasing(&destination, 2).await;
    world.publish(&destination, &["1"]).await;
    let held = world.take_one(&receiver).await;
    let successor = world.successor(&receiver, &destination).await;
    assert_eq!(held.lease().deadline, None, "it has no end");
    world.sleep(20 * world.unit()).await;
    world.nothing_comes(&successor, "it is held").await;
    world.ack(&receiver, vec![held]).await;
    world.nothing_comes(&successor, "it was settled").await;
}

/// What `receiver` has lost, within the time in which it must be told.
pub(super) async fn lost_soon(world: &World, receiver: &Arc<dyn Receiver>) -> Vec<Token> {
    let lost = world.seams.clock.timeout_here(world.due_max(), receiver.lost()).await;
    lost.expect("a lost lease is told of")
}

pub(super) fn deadline(delivery: &Delivery) -> Moment {
    delivery.lease().deadline.expect("this bus has leases that end")
}
