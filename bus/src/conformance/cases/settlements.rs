//! Settling: batches of settlements, and whose delivery it is.

use std::time::Duration;

use crate::conformance::World;
use crate::conformance::consume::came;
use crate::conformance::world::{bodies, body};
use crate::{ClockExt, ErrorKind, ExtendOutcome, SettleOutcome};

super::cases! { "settle":
    settlements_are_answered_one_each_and_in_input_order,
    settling_out_of_order_consumes_exactly_what_was_acked,
    one_failing_settlement_of_a_batch_fails_alone [NackDelay],
    a_receiver_settles_only_what_it_has,
    a_settlement_of_what_was_given_back_is_lease_lost,
    settlements_are_confirmed [ConfirmedSettlement],
    settlements_are_answered_as_sent_where_the_protocol_has_no_answer [UnconfirmedSettlement],
    a_settle_call_that_is_dropped_strands_no_delivery [DeadLetters],
    released_deliveries_come_again_at_once,
    released_deliveries_of_a_key_come_again_in_order [OrderPerKey],
    a_released_delivery_does_not_count_as_received [ReleaseUncounted],
    a_release_call_that_is_dropped_strands_no_delivery,
}

async fn settlements_are_answered_one_each_and_in_input_order(world: &World) {
    let (ours, theirs) = (world.declared("ours").await, world.declared("theirs").await);
    let (receiver, other) = (world.receiver(&ours).await, world.receiver(&theirs).await);
    world.publish(&ours, &["1", "2", "3", "4", "5"]).await;
    world.publish(&theirs, &["a", "b"]).await;
    let [one, two, three, four, five] = world.take_bodies(&receiver, ["1", "2", "3", "4", "5"]).await;
    let [a, b] = world.take_bodies(&other, ["a", "b"]).await;
    let at_once = Duration::ZERO;
    let batch = vec![
        one.ack(),
        a.ack(),
        two.nack(at_once),
        three.reject("bad"),
        b.nack(at_once),
        four.nack(at_once),
        five.ack(),
    ];
    let outcomes = receiver.settle(batch).await;
    let [one, a, two, three, b, four, five] = &outcomes[..] else {
        panic!("one outcome each: {outcomes:?}");
    };
    for (outcome, what) in [(one, "ack"), (two, "nack"), (four, "nack"), (five, "ack")] {
        assert!(outcome.is_settled(), "an {what} of ours: {outcomes:?}");
    }
    assert_eq!(three.is_settled(), world.capability().dead_letters, "a reject: {outcomes:?}");
    assert!(matches!((a, b), (SettleOutcome::LeaseLost, SettleOutcome::LeaseLost)), "not ours: {outcomes:?}");
    let _nacked = world.take_bodies(&receiver, ["2", "4"]).await;
    world.nothing_comes(&receiver, "the others were settled, or are held").await;
}

async fn settling_out_of_order_consumes_exactly_what_was_acked(world: &World) {
    let destination = world.declared("out-of-order").await;
    let receiver = world.receiver(&destination).await;
    world.publish(&destination, &["1", "2", "3", "4", "5"]).await;
    let [_one, two, _three, _four, five] = world.take_bodies(&receiver, ["1", "2", "3", "4", "5"]).await;
    let successor = world.successor(&receiver, &destination).await;
    world.ack(&receiver, vec![five, two]).await;
    receiver.close().await;
    let _left = world.take_bodies(&successor, ["1", "3", "4"]).await;
    world.nothing_comes(&successor, "the others were acked").await;
}

async fn one_failing_settlement_of_a_batch_fails_alone(world: &World) {
    let destination = world.declared("alone").await;
    let receiver = world.receiver(&destination).await;
    let cap = world.capability().nack_delay_max.expect("the case needs it");
    world.publish(&destination, &["1", "2", "3"]).await;
    let [one, two, three] = world.take_bodies(&receiver, ["1", "2", "3"]).await;
    let successor = world.successor(&receiver, &destination).await;
    let outcomes = receiver.settle(vec![one.ack(), two.nack(cap + world.unit()), three.ack()]).await;
    assert!(
        matches!(&outcomes[..], [first, SettleOutcome::Failed(error), last]
            if first.is_settled() && last.is_settled() && error.kind() == ErrorKind::Unsupported),
        "the second alone fails: {outcomes:?}"
    );
    receiver.close().await;
    let [_two] = world.take_bodies(&successor, ["2"]).await;
    world.nothing_comes(&successor, "the others were acked").await;
}

/// The token of a delivery says whose it is, also among the receivers of one subscription.
async fn a_receiver_settles_only_what_it_has(world: &World) {
    let destination = world.declared("rivals").await;
    let owner = world.receiver(&destination).await;
    world.publish(&destination, &["1", "2", "3"]).await;
    let [one, two, three] = world.take_bodies(&owner, ["1", "2", "3"]).await;
    let rival = world.successor(&owner, &destination).await;
    let outcomes = rival.extend(&[three.token()], world.unit()).await;
    assert!(!matches!(outcomes[..], [ExtendOutcome::Until(_)]), "it is another's: {outcomes:?}");
    let outcomes = rival.settle(vec![one.ack(), two.nack(Duration::ZERO)]).await;
    assert!(
        matches!(outcomes[..], [SettleOutcome::LeaseLost, SettleOutcome::LeaseLost]),
        "they are another's: {outcomes:?}"
    );
    world.nothing_comes(&rival, "they are still with their owner").await;
    world.ack(&owner, vec![three]).await;
    owner.close().await;
    let _again = world.take_bodies(&rival, ["1", "2"]).await;
}

/// By the end of the receiver, with the delivery still in somebody's hands.
async fn a_settlement_of_what_was_given_back_is_lease_lost(world: &World) {
    let destination = world.declared("given-back").await;
    let receiver = world.receiver(&destination).await;
    world.publish(&destination, &["1"]).await;
    let delivery = world.take_one(&receiver).await;
    let successor = world.successor(&receiver, &destination).await;
    receiver.close().await;
    let outcome = world.settle_one(&receiver, delivery.ack()).await;
    assert!(matches!(outcome, SettleOutcome::LeaseLost), "it was given back: {outcome:?}");
    assert_eq!(body(&world.take_one(&successor).await), "1", "nothing was consumed");
}

async fn settlements_are_confirmed(world: &World) {
    let outcomes = ack_and_nack(world).await;
    assert!(
        matches!(outcomes[..], [SettleOutcome::Settled, SettleOutcome::Settled]),
        "both are confirmed: {outcomes:?}"
    );
}

async fn settlements_are_answered_as_sent_where_the_protocol_has_no_answer(world: &World) {
    let outcomes = ack_and_nack(world).await;
    assert!(matches!(outcomes[..], [SettleOutcome::Sent, SettleOutcome::Sent]), "nothing is confirmed: {outcomes:?}");
}

async fn ack_and_nack(world: &World) -> Vec<SettleOutcome> {
    let destination = world.declared("answered").await;
    let receiver = world.receiver(&destination).await;
    world.publish(&destination, &["1", "2"]).await;
    let [one, two] = world.take_bodies(&receiver, ["1", "2"]).await;
    receiver.settle(vec![one.ack(), two.nack(Duration::ZERO)]).await
}

/// Made or not: then it comes again, at once or after its lease.
async fn a_settle_call_that_is_dropped_strands_no_delivery(world: &World) {
    let destination = world.declared("dropped").await;
    let (receiver, graves) = (world.leasing(&destination, 2).await, world.graves(&destination).await);
    world.publish(&destination, &["never begun", "under way"]).await;
    let [never_begun, under_way] = world.take_bodies(&receiver, ["never begun", "under way"]).await;
    drop(receiver.settle(vec![never_begun.reject("bad")]));
    let call = receiver.settle(vec![under_way.reject("bad")]);
    // Without a moment it is polled once, and dropped unless that was enough.
    let _ = world.seams.clock.timeout_here(Duration::ZERO, call).await;
    world.sleep(3 * world.unit()).await;
    let found = world.poll_until([&receiver, &graves], |[again, dead]| again.len() + dead.len() >= 2).await;
    let [again, dead] = found.map(|deliveries| bodies(&deliveries));
    assert!(again.iter().any(|body| body == "never begun"), "what was not made comes again: {again:?}");
    let is_there = again.iter().chain(&dead).any(|body| body == "under way");
    assert!(is_there, "it is neither settled nor does it come again: {again:?}, dead letters {dead:?}");
}

async fn released_deliveries_come_again_at_once(world: &World) {
    let destination = world.declared("released").await;
    let receiver = world.receiver(&destination).await;
    world.publish(&destination, &["1", "2", "3"]).await;
    let unstarted = world.take(&receiver, 3).await.into_iter().map(|delivery| delivery.split().1);
    receiver.release(unstarted.collect()).await;
    let _again = world.take_bodies(&receiver, ["1", "2", "3"]).await;
}

async fn released_deliveries_of_a_key_come_again_in_order(world: &World) {
    let destination = world.declared("released").await;
    let receiver = world.receiver(&destination).await;
    world.publish_keyed(&destination, "one", &["1", "2", "3", "4"]).await;
    // A bus may hand out a key one by one.
    let mut first = vec![world.take_one(&receiver).await];
    first.extend(world.poll(&receiver).await);
    assert_eq!(bodies(&first), ["1", "2", "3", "4"][..first.len()]);
    receiver.release(first.into_iter().rev().map(|delivery| delivery.split().1).collect()).await;
    let again = came(&world.consume(&[receiver], 4).await);
    assert_eq!(again, ["1", "2", "3", "4"], "however they were given back");
}

async fn a_released_delivery_does_not_count_as_received(world: &World) {
    let destination = world.declared("unstarted").await;
    let receiver = world.receiver(&destination).await;
    world.publish(&destination, &["1"]).await;
    for _ in 0..3 {
        let delivery = world.take_one(&receiver).await;
        assert_eq!(delivery.receive_count(), Some(1));
        receiver.release(vec![delivery.split().1]).await;
    }
}

/// Before its first poll, and after it.
async fn a_release_call_that_is_dropped_strands_no_delivery(world: &World) {
    let destination = world.declared("dropped").await;
    let receiver = world.leasing(&destination, 2).await;
    world.publish(&destination, &["never begun", "under way"]).await;
    let [never_begun, under_way] = world.take_bodies(&receiver, ["never begun", "under way"]).await;
    drop(receiver.release(vec![never_begun.split().1]));
    let call = receiver.release(vec![under_way.split().1]);
    let _ = world.seams.clock.timeout_here(Duration::ZERO, call).await;
    world.sleep(3 * world.unit()).await;
    let [again] = world.poll_until([&receiver], |[again]| again.len() >= 2).await;
    let again = bodies(&again);
    for stranded in ["never begun", "under way"] {
        assert!(again.iter().any(|body| body == stranded), "{stranded} does not come again: {again:?}");
    }
}
