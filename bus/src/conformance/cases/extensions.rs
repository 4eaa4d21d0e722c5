//! Leases: kept longer, up to a cap.

use crate::conformance::World;
use crate::conformance::world::body;
use crate::{ErrorKind, ExtendOutcome, Moment};

use super::lease::{deadline, lost_soon};

super::cases! { "lease":
    an_extended_delivery_stays_ours_beyond_the_first_end_of_its_lease [ExtendableLease],
    an_extended_lease_ends_when_it_was_said_to [ExtendableLease],
    extensions_are_answered_one_each_and_in_input_order [ExtendableLease],
    an_extension_after_the_end_is_lease_lost_and_brings_nothing_back [ExtendableLease],
    extensions_end_at_the_cap_and_so_does_the_lease [LeaseCap],
    an_extension_is_refused_where_leases_are_fixed [FixedLease],
    an_extension_is_refused_where_there_are_no_leases [NoLease],
}

async fn an_extended_delivery_stays_ours_beyond_the_first_end_of_its_lease(world: &World) {
    let destination = world.declared("kept").await;
    let receiver = world.leasing(&destination, 4).await;
    world.publish(&destination, &["1"]).await;
    let held = world.take_one(&receiver).await;
    let successor = world.successor(&receiver, &destination).await;
    let first_end = deadline(&held);
    for _ in 0..5 {
        world.sleep(2 * world.unit()).await;
        let until = extended(&receiver.extend(&[held.token()], 4 * world.unit()).await);
        assert!(until > world.seams.clock.now());
    }
    assert!(world.seams.clock.now() > first_end, "the first end has passed");
    world.nothing_comes(&successor, "it was extended").await;
    world.ack(&receiver, vec![held]).await;
}

async fn an_extended_lease_ends_when_it_was_said_to(world: &World) {
    let destination = world.declared("said").await;
    let receiver = world.leasing(&destination, 4).await;
    world.publish(&destination, &["1"]).await;
    let held = world.take_one(&receiver).await;
    let successor = world.successor(&receiver, &destination).await;
    let until = extended(&receiver.extend(&[held.token()], 9 * world.unit()).await);
    assert!(until > deadline(&held), "longer than before");
    let again = world.take_one(&successor).await;
    assert!(world.seams.clock.now() >= until, "not before it has ended");
    assert_eq!(again.message().id(), held.message().id());
    assert_eq!(lost_soon(world, &receiver).await, [held.token()]);
}

/// Of a settled delivery, one of ours, one of another receiver, and one of ours.
async fn extensions_are_answered_one_each_and_in_input_order(world: &World) {
    let (ours, theirs) = (world.declared("ours").await, world.declared("theirs").await);
    // Short, so that there is something to extend below any cap.
    let (receiver, other) = (world.leasing(&ours, 4).await, world.leasing(&theirs, 4).await);
    world.publish(&ours, &["1", "2", "3"]).await;
    world.publish(&theirs, &["4"]).await;
    let mut held = world.take(&receiver, 3).await;
    let theirs = world.take_one(&other).await;
    let settled = held.remove(0);
    let tokens = [settled.token(), held[0].token(), theirs.token(), held[1].token()];
    world.ack(&receiver, vec![settled]).await;
    let outcomes = receiver.extend(&tokens, 8 * world.unit()).await;
    assert!(
        matches!(
            outcomes[..],
            [ExtendOutcome::LeaseLost, ExtendOutcome::Until(_), ExtendOutcome::LeaseLost, ExtendOutcome::Until(_)]
        ),
        "only those we have are extended: {outcomes:?}"
    );
    world.ack(&other, vec![theirs]).await;
}

async fn an_extension_after_the_end_is_lease_lost_and_brings_nothing_back(world: &World) {
    let destination = world.declared("too-late").await;
    let receiver = world.leasing(&destination, 2).await;
    world.publish(&destination, &["1"]).await;
    let held = world.take_one(&receiver).await;
    let successor = world.successor(&receiver, &destination).await;
    world.sleep(4 * world.unit()).await;
    let outcomes = receiver.extend(&[held.token()], 60 * world.unit()).await;
    assert!(matches!(outcomes[..], [ExtendOutcome::LeaseLost]), "it has ended: {outcomes:?}");
    assert_eq!(body(&world.take_one(&successor).await), "1");
}

async fn extensions_end_at_the_cap_and_so_does_the_lease(world: &World) {
    let destination = world.declared("cap").await;
    let receiver = world.receiver(&destination).await;
    let cap = world.capability().lease.total_max.expect("the case needs it");
    world.publish(&destination, &["1"]).await;
    let held = world.take_one(&receiver).await;
    let mut until = deadline(&held);
    let successor = world.successor(&receiver, &destination).await;
    // It began before it came.
    let last_end = world.seams.clock.now() + cap;
    assert!(until <= last_end, "the first lease is {:?} longer than the cap of {cap:?}", until.since(last_end));
    loop {
        // Early enough for the way there and back.
        world.sleep(until.since(world.seams.clock.now()) / 2).await;
        match receiver.extend(&[held.token()], cap / 4).await.pop() {
            Some(ExtendOutcome::Until(later)) => until = later,
            Some(ExtendOutcome::Capped) => break,
            other => panic!("neither extended nor capped: {other:?}"),
        }
        assert!(until > world.seams.clock.now(), "an extended lease has not ended yet");
        assert!(until <= last_end, "{:?} longer than the cap of {cap:?}", until.since(last_end));
    }
    assert!(until + cap / 2 >= last_end, "capped {:?} before the cap of {cap:?}", last_end.since(until));
    world.nothing_comes(&successor, "it is ours up to the cap").await;
    world.seams.clock.sleep_until(last_end).await;
    assert_eq!(body(&world.take_one(&successor).await), "1");
    assert_eq!(lost_soon(world, &receiver).await, [held.token()]);
}

async fn an_extension_is_refused_where_leases_are_fixed(world: &World) {
    refused(world).await;
}

async fn an_extension_is_refused_where_there_are_no_leases(world: &World) {
    refused(world).await;
}

async fn refused(world: &World) {
    let destination = world.declared("fixed").await;
    let receiver = world.receiver(&destination).await;
    world.publish(&destination, &["1"]).await;
    let held = world.take_one(&receiver).await;
    let outcomes = receiver.extend(&[held.token()], world.unit()).await;
    assert!(
        matches!(&outcomes[..], [ExtendOutcome::Failed(error)] if error.kind() == ErrorKind::Unsupported),
        "leases of this bus are not extended: {outcomes:?}"
    );
    world.ack(&receiver, vec![held]).await;
}

fn extended(outcomes: &[ExtendOutcome]) -> Moment {
    match outcomes {
        [ExtendOutcome::Until(until)] => *until,
        _ => panic!("one delivery of ours was not extended: {outcomes:?}"),
    }
}
