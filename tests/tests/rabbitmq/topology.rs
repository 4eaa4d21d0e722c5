//! Queues that are other than declared, or go away.

use std::time::Duration;

use bus::{BusState, Declaration, ErrorKind, Outgoing, PublishOutcome, SubscribeOptions, Subscription};
use lapin::options::{QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::FieldTable;

use crate::scene::{ack, body, bus, declared, foreign, fresh, in_time, outgoing, publish, receiver, take};

async fn delete(queue: &str) {
    let (connection, channel) = foreign().await;
    channel.queue_delete(queue.into(), QueueDeleteOptions::default()).await.expect("deleted");
    connection.close(200, "done".into()).await.expect("it closes");
}

async fn declare_plain(queue: &str) {
    let (connection, channel) = foreign().await;
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(queue.into(), durable, FieldTable::default()).await.expect("declared");
    connection.close(200, "done".into()).await.expect("it closes");
}

fn error_of(outcome: PublishOutcome) -> bus::Error {
    match outcome {
        PublishOutcome::Refused(error) => error,
        other => panic!("it is refused, not {other:?}"),
    }
}

pub(crate) async fn a_conflicting_declaration_is_explained_and_disturbs_nothing_else() {
    let bus = bus("").await;
    let (ours, theirs) = (declared(&bus, "undisturbed").await, fresh("plain"));
    let receiver = receiver(&bus, &ours).await;
    publish(&bus, &ours, &["1"]).await;
    let held = take(&receiver, 1).await;
    declare_plain(theirs.as_str()).await;

    let error = bus.declare(&[Declaration::of(theirs.clone())]).await.expect_err("it is no quorum queue");
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Conflict, false), "{error}");
    let text = error.to_string();
    for hint in [theirs.as_str(), "queue=classic", "inequivalent arg"] {
        assert!(text.contains(hint), "{text}");
    }

    assert_eq!(bus.state(), BusState::Up);
    assert_eq!(ack(&receiver, held).await, ["1"], "the channel that holds it is another");
    publish(&bus, &ours, &["2"]).await;
    assert_eq!(ack(&receiver, take(&receiver, 1).await).await, ["2"]);
    // As it is, it serves: nobody has to declare it.
    publish(&bus, &theirs, &["3"]).await;
    delete(theirs.as_str()).await;
}

pub(crate) async fn a_queue_deleted_under_a_consumer_and_a_publisher_is_declared_again_and_work_goes_on() {
    let bus = bus("").await;
    let destination = declared(&bus, "deleted").await;
    let receiver = receiver(&bus, &destination).await;
    publish(&bus, &destination, &["before"]).await;
    assert_eq!(ack(&receiver, take(&receiver, 1).await).await, ["before"]);
    for queue in [&destination, &destination.dead_letters().expect("legal")] {
        delete(queue.as_str()).await;
    }
    // Whoever needs it first declares it. Until then a message comes back, to be tried again.
    in_time("a publisher goes on", async {
        while let Some(PublishOutcome::Refused(error)) = bus.publish(vec![outgoing(&destination, "after")]).await.pop()
        {
            assert!(error.is_retryable(), "{error}");
        }
    })
    .await;
    let [delivery] = take(&receiver, 1).await.try_into().expect("one");
    assert_eq!(body(&delivery), "after");
    let outcome = receiver.settle(vec![delivery.reject("its dead letters were deleted too")]).await.remove(0);
    assert!(outcome.is_settled(), "{outcome:?}");
}

pub(crate) async fn a_consumer_declares_its_deleted_queue_again_without_a_publisher() {
    let [consuming, publishing] = [bus("").await, bus("").await];
    let destination = declared(&consuming, "waiting").await;
    let receiver = receiver(&consuming, &destination).await;
    delete(destination.as_str()).await;
    // This one has declared nothing: it finds the queue when the consumer has made it again.
    in_time("the queue is back", async {
        while !publishing.publish(vec![outgoing(&destination, "1")]).await.remove(0).is_accepted() {}
    })
    .await;
    assert_eq!(ack(&receiver, take(&receiver, 1).await).await, ["1"]);
}

pub(crate) async fn a_deleted_queue_that_was_not_declared_here_is_not_found_and_not_made() {
    let bus = bus("").await;
    let destination = fresh("theirs");
    declare_plain(destination.as_str()).await;
    publish(&bus, &destination, &["1"]).await;
    delete(destination.as_str()).await;
    for try_number in 0..3 {
        let error = error_of(bus.publish(vec![outgoing(&destination, "2")]).await.remove(0));
        assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::NotFound, false), "{try_number}: {error}");
    }
    let subscribed = bus.subscribe(&Subscription::to(destination.clone()), SubscribeOptions::default()).await;
    assert_eq!(subscribed.err().map(|error| error.kind()), Some(ErrorKind::NotFound));
    declare_plain(destination.as_str()).await;
    publish(&bus, &destination, &["3"]).await;
    delete(destination.as_str()).await;
}

/// RabbitMQ returns the message and then confirms it, and the client gives it to whichever confirm it
/// sees next.
pub(crate) async fn of_many_messages_under_way_exactly_those_for_a_deleted_queue_are_refused() {
    let bus = bus("").await;
    let (kept, gone) = (declared(&bus, "kept").await, fresh("gone"));
    declare_plain(gone.as_str()).await;
    publish(&bus, &gone, &["known"]).await;
    delete(gone.as_str()).await;
    // Both are known here, so that all of them are on their way before the first comes back.
    let is_lost = |number: usize| number % 3 == 1;
    let batch = (0..500).map(|number| outgoing(if is_lost(number) { &gone } else { &kept }, "x")).collect();
    for (number, outcome) in bus.publish(batch).await.into_iter().enumerate() {
        if is_lost(number) {
            assert_eq!(error_of(outcome).kind(), ErrorKind::NotFound, "{number}");
        } else {
            assert!(outcome.is_accepted(), "{number}: {outcome:?}");
        }
    }
}

pub(crate) async fn a_wait_queue_that_another_bus_purged_is_made_again_by_the_next_attempt() {
    let [delaying, purging] = [bus("").await, bus("").await];
    let destination = declared(&delaying, "purged").await;
    let later = |body: &str, delay| {
        let (destination, message, _) = outgoing(&destination, body).into_parts();
        Outgoing::new(destination, message).delayed(delay)
    };
    let long = Duration::from_secs(3_600);
    assert!(delaying.publish(vec![later("purged", long)]).await.remove(0).is_accepted());
    purging.purge(&Subscription::to(destination.clone())).await.expect("purged");
    let error = error_of(delaying.publish(vec![later("refused", long)]).await.remove(0));
    assert!(error.is_retryable(), "{error}");
    assert!(delaying.publish(vec![later("again", long)]).await.remove(0).is_accepted());
    let depth = delaying.depth(&Subscription::to(destination.clone())).await.expect("it counts");
    assert_eq!((depth.ready_count, depth.delayed_count), (0, 1), "the purged one is gone for good");
    purging.purge(&Subscription::to(destination.clone())).await.expect("nothing of it stays behind");
}
