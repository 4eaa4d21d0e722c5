//! Publishing: what an outcome means.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::capability::Order;
use crate::conformance::World;
use crate::conformance::consume::came;
use crate::conformance::world::bodies;
use crate::{Destination, ErrorKind, Outgoing, PublishOutcome, SubscribeOptions, Subscription};

super::cases! { "publish":
    batches_of_1_10_11_and_1000_are_accepted_whole_and_in_order,
    an_empty_batch_has_no_outcomes,
    a_batch_may_go_to_several_destinations,
    outcomes_are_one_for_each_message_and_in_input_order,
    one_bad_message_of_a_batch_fails_alone_and_in_its_place,
    a_message_behind_a_refused_one_of_its_key_is_refused_with_it [AtomicPublish, SizeLimit],
    an_unknown_destination_is_an_error_and_no_creation,
    a_message_sent_twice_arrives_under_its_id_and_no_other_is_taken_for_it,
    a_closed_bus_refuses_each_message_as_closed,
}

async fn batches_of_1_10_11_and_1000_are_accepted_whole_and_in_order(world: &World) {
    for count in [1, 10, 11, 1_000] {
        let destination = world.declared(&format!("batch-{count}")).await;
        let sent: Vec<String> = (0..count).map(|number| number.to_string()).collect();
        let batch = sent.iter().map(|body| Outgoing::new(destination.clone(), world.keyed("one", body)));
        world.publish_all(batch.collect()).await;
        // A few at a time: a broker that holds a key back while it is in hand gives no more at once.
        let receivers = world.receivers::<1>(&destination).await;
        let mut received = came(&world.consume(&receivers, sent.len()).await);
        if world.capability().order == Order::None {
            received.sort_by_key(|body| body.parse::<usize>().expect("a number was sent"));
        }
        assert_eq!(received, sent, "a batch of {count}");
    }
}

async fn an_empty_batch_has_no_outcomes(world: &World) {
    assert!(world.bus.publish(Vec::new()).await.is_empty());
}

async fn a_batch_may_go_to_several_destinations(world: &World) {
    let destinations = [world.declared("one").await, world.declared("two").await, world.declared("three").await];
    let batch = (0..9).map(|number| {
        let destination = &destinations[number % destinations.len()];
        Outgoing::new(destination.clone(), world.message(&number.to_string()))
    });
    world.publish_all(batch.collect()).await;
    for (destination, expected) in destinations.iter().zip([["0", "3", "6"], ["1", "4", "7"], ["2", "5", "8"]]) {
        assert_eq!(received(world, destination, 3).await, expected, "on {destination}");
    }
}

async fn outcomes_are_one_for_each_message_and_in_input_order(world: &World) {
    let (good, bad) = (world.declared("good").await, world.undeclared("bad"));
    let is_bad = |number: usize| number.is_multiple_of(5) || number == 6;
    let batch = (0..12).map(|number| {
        let destination = if is_bad(number) { &bad } else { &good };
        Outgoing::new(destination.clone(), world.message(&format!("{number:02}")))
    });
    let outcomes = world.bus.publish(batch.collect()).await;
    let accepted: Vec<bool> = outcomes.iter().map(PublishOutcome::is_accepted).collect();
    let expected: Vec<bool> = (0..12).map(|number| !is_bad(number)).collect();
    assert_eq!(accepted, expected, "one for each, in order: {outcomes:?}");
    assert_eq!(received(world, &good, 8).await, ["01", "02", "03", "04", "07", "08", "09", "11"]);
}

async fn one_bad_message_of_a_batch_fails_alone_and_in_its_place(world: &World) {
    let (good, bad) = (world.declared("good").await, world.undeclared("bad"));
    let batch = vec![
        Outgoing::new(good.clone(), world.message("1")),
        Outgoing::new(bad, world.message("2")),
        Outgoing::new(good.clone(), world.message("3")),
    ];
    let outcomes = world.bus.publish(batch).await;
    assert!(
        matches!(&outcomes[..], [PublishOutcome::Accepted(_), PublishOutcome::Refused(error), PublishOutcome::Accepted(_)]
            if error.kind() == ErrorKind::NotFound),
        "the second alone is refused: {outcomes:?}"
    );
    assert_eq!(received(world, &good, 2).await, ["1", "3"]);
}

async fn a_message_behind_a_refused_one_of_its_key_is_refused_with_it(world: &World) {
    let destination = world.declared("lanes").await;
    let limit = world.capability().message_bytes_max.expect("the case needs it");
    let too_large = world.keyed("a", &"x".repeat(limit + 1));
    let messages = [world.keyed("a", "1"), too_large, world.keyed("a", "2"), world.keyed("b", "3"), world.message("4")];
    let batch = messages.into_iter().map(|message| Outgoing::new(destination.clone(), message));
    let outcomes = world.bus.publish(batch.collect()).await;
    let [first, PublishOutcome::Refused(cause), PublishOutcome::Refused(behind), others @ ..] = &outcomes[..] else {
        panic!("the second and the third are refused: {outcomes:?}");
    };
    assert!(first.is_accepted() && others.iter().all(PublishOutcome::is_accepted), "other keys pass: {outcomes:?}");
    assert!(!cause.is_retryable() && behind.is_retryable(), "only the one behind may be sent again: {outcomes:?}");
    assert_eq!(received(world, &destination, 3).await, ["1", "3", "4"]);
}

async fn an_unknown_destination_is_an_error_and_no_creation(world: &World) {
    let unknown = world.undeclared("unknown");
    for attempt in ["first", "again"] {
        let outcomes = world.bus.publish(vec![Outgoing::new(unknown.clone(), world.message(attempt))]).await;
        assert!(
            matches!(&outcomes[..], [PublishOutcome::Refused(error)] if error.kind() == ErrorKind::NotFound),
            "{attempt}: {outcomes:?}"
        );
    }
    let answer = world.bus.subscribe(&Subscription::to(unknown), SubscribeOptions::default()).await;
    assert_eq!(answer.err().expect("it was not created").kind(), ErrorKind::NotFound);
}

async fn a_message_sent_twice_arrives_under_its_id_and_no_other_is_taken_for_it(world: &World) {
    let destination = world.declared("resent").await;
    let (resent, other) = (world.message("same bytes"), world.message("same bytes"));
    assert_ne!(resent.id(), other.id());
    for message in [&resent, &other, &resent] {
        world.publish_all(vec![Outgoing::new(destination.clone(), message.clone())]).await;
    }
    let receiver = world.receiver(&destination).await;
    let mut deliveries = world.take(&receiver, 2).await;
    deliveries.extend(world.poll(&receiver).await);
    let arrived: BTreeSet<_> = deliveries.iter().map(|delivery| delivery.message().id().clone()).collect();
    assert_eq!(arrived, BTreeSet::from([resent.id().clone(), other.id().clone()]));
}

async fn a_closed_bus_refuses_each_message_as_closed(world: &World) {
    let destination = world.declared("closed").await;
    world.bus.close(Duration::from_secs(30)).await.expect("nothing is in the way");
    let batch = ["1", "2", "3"].map(|body| Outgoing::new(destination.clone(), world.message(body)));
    let outcomes = world.bus.publish(batch.into()).await;
    assert_eq!(outcomes.len(), 3, "one for each: {outcomes:?}");
    for outcome in &outcomes {
        assert!(
            matches!(outcome, PublishOutcome::Refused(error) if error.kind() == ErrorKind::Closed),
            "not refused as closed: {outcome:?}"
        );
    }
}

/// What arrives at `destination`, sorted: `count` bodies and no more.
async fn received(world: &World, destination: &Destination, count: usize) -> Vec<String> {
    let receiver = world.receiver(destination).await;
    let mut deliveries = world.take(&receiver, count).await;
    deliveries.extend(world.poll(&receiver).await);
    let mut received = bodies(&deliveries);
    received.sort();
    received
}
