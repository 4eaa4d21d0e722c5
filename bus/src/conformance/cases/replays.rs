//! Dead letters on their way back: those that are meant, as they were, and not over and over.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};

use tokio_util::sync::CancellationToken;

use super::dead_letters::{all, bodies, bury, of};
use crate::conformance::World;
use crate::conformance::world;
use crate::dead_letter::{self, Ended, Filter, Progress, Replay, Replayed};
use crate::pipeline::{Envelope, Pipeline};
use crate::{ClockExt, Destination, Group, Outgoing, Result, SubscribeOptions, Subscription};

super::cases! { "dead letters":
    a_replayed_message_arrives_as_it_was_sent_and_is_dead_no_more [DeadLetters],
    all_dead_letters_are_replayed [DeadLetters],
    a_replay_takes_what_its_filter_names_and_leaves_the_rest [DeadLetters],
    a_replay_ends_at_its_limit [DeadLetters],
    a_dry_run_counts_what_it_would_replay_and_changes_nothing [DeadLetters],
    a_message_that_dies_again_is_not_replayed_again_in_the_same_run [DeadLetters],
    a_message_that_died_again_carries_its_last_rejection [DeadLetters],
    a_replay_starts_the_handler_of_the_group_it_died_in_alone [DeadLetters, Groups],
    a_dead_letter_without_provenance_is_replayed_to_its_destination [DeadLetters],
    a_dead_letter_whose_origin_is_gone_stays_and_the_others_are_replayed [DeadLetters],
}

async fn replay(world: &World, destination: &Destination, replay: Replay) -> Replayed {
    let replayed = of(world, destination).replay(replay, CancellationToken::new(), |_| ()).await;
    replayed.expect("what is declared can be replayed")
}

/// One message at a time.
pub(super) fn slowly() -> Replay {
    Replay { per_second_max: NonZeroU32::new(10), ..Replay::default() }
}

async fn a_replayed_message_arrives_as_it_was_sent_and_is_dead_no_more(world: &World) {
    let destination = world.declared("one").await;
    let headers = [("tenant", &b"a"[..]), ("raw", &b"\xff\x00"[..])].into_iter().collect();
    let message = world.keyed("ORD-1", "{}").with_headers(headers).with_content_type("application/json");
    world.publish_all(vec![Outgoing::new(destination.clone(), message.clone())]).await;
    let receiver = world.receiver(&destination).await;
    let delivery = world.take_one(&receiver).await;
    world.settle(&receiver, vec![delivery.reject("bad")]).await;
    let replayed = replay(world, &destination, Replay::default()).await;
    assert!(matches!(replayed.ended, Ended::Complete), "{replayed:?}");
    assert_eq!((replayed.progress.examined_count, replayed.progress.replayed_count), (1, 1), "{replayed:?}");
    let delivery = world.take_one(&receiver).await;
    let found = delivery.message();
    assert_eq!((found.id(), found.key(), found.body()), (message.id(), message.key(), message.body()));
    assert_eq!(found.content_type(), message.content_type());
    for (name, value) in message.headers().iter() {
        assert_eq!(found.headers().get(name), Some(value), "{name}");
    }
    let added = [dead_letter::REASON, dead_letter::REPLAY_COUNT].map(|name| found.headers().text(name));
    assert_eq!(added, [Some("bad"), Some("1")], "it says that it was dead");
    world.ack(&receiver, vec![delivery]).await;
    assert!(all(world, &destination).await.is_empty(), "moved, not copied");
}

async fn all_dead_letters_are_replayed(world: &World) {
    let destination = world.declared("all").await;
    // More than go in one batch.
    let sent: Vec<String> = (100..350).map(|number| number.to_string()).collect();
    let sent: Vec<&str> = sent.iter().map(String::as_str).collect();
    for batch in sent.chunks(50) {
        bury(world, &destination, batch, "bad").await;
    }
    let mut counts = Vec::new();
    let shutdown = CancellationToken::new();
    let seen = |progress: &Progress| counts.push(progress.replayed_count);
    let replayed = of(world, &destination).replay(Replay::default(), shutdown, seen).await.expect("declared");
    assert_eq!(replayed.progress.replayed_count, sent.len(), "{replayed:?}");
    assert!(counts.is_sorted() && counts.len() > 2 && counts.last() == Some(&sent.len()), "{counts:?}");
    let receiver = world.receiver(&destination).await;
    let mut received = BTreeSet::new();
    while received.len() < sent.len() {
        let batch = world.take(&receiver, 1).await;
        received.extend(world::bodies(&batch));
        world.ack(&receiver, batch).await;
    }
    assert!(received.iter().eq(&sent), "each of them");
    assert!(all(world, &destination).await.is_empty());
}

async fn a_replay_takes_what_its_filter_names_and_leaves_the_rest(world: &World) {
    let destination = world.declared("some").await;
    for (body, reason) in [("1", "no field"), ("2", "no customer"), ("3", "no field"), ("4", "no customer")] {
        bury(world, &destination, &[body], reason).await;
    }
    let filter = Filter { reason_contains: Some("customer".to_owned()), ..Filter::default() };
    let replayed = replay(world, &destination, Replay { filter, ..Replay::default() }).await;
    assert_eq!((replayed.progress.examined_count, replayed.progress.replayed_count), (4, 2), "{replayed:?}");
    let receiver = world.receiver(&destination).await;
    let mut arrived = world::bodies(&world.take(&receiver, 2).await);
    arrived.sort();
    assert_eq!(arrived, ["2", "4"]);
    assert_eq!(bodies(&all(world, &destination).await), ["1", "3"]);
}

async fn a_replay_ends_at_its_limit(world: &World) {
    let destination = world.declared("limited").await;
    bury(world, &destination, &["1", "2", "3"], "bad").await;
    let replayed = replay(world, &destination, Replay { limit: Some(2), ..Replay::default() }).await;
    assert!(matches!(replayed.ended, Ended::LimitReached), "{replayed:?}");
    assert_eq!(world.take(&world.receiver(&destination).await, 2).await.len(), 2);
    assert_eq!(all(world, &destination).await.len(), 1, "the rest is still there");
}

async fn a_dry_run_counts_what_it_would_replay_and_changes_nothing(world: &World) {
    let destination = world.declared("dry").await;
    bury(world, &destination, &["1", "2", "3"], "bad").await;
    bury(world, &destination, &["4"], "worse").await;
    let before = all(world, &destination).await;
    let filter = Filter { reason_contains: Some("bad".to_owned()), ..Filter::default() };
    let dry = replay(world, &destination, Replay { filter, dry_run: true, ..Replay::default() }).await;
    assert_eq!((dry.progress.examined_count, dry.progress.replayed_count), (4, 3), "{dry:?}");
    assert!(world.poll(&world.receiver(&destination).await).await.is_empty(), "nothing was sent");
    let mut after = all(world, &destination).await;
    after.sort_by_key(|letter| before.iter().position(|other| other == letter));
    assert_eq!(after, before);
}

async fn a_message_that_dies_again_is_not_replayed_again_in_the_same_run(world: &World) {
    let destination = world.declared("again").await;
    bury(world, &destination, &["1", "2", "3"], "broken").await;
    let receiver = world.receiver(&destination).await;
    let still_broken = async {
        let mut arrived_count = 0;
        loop {
            let mut batch = Vec::new();
            receiver.receive(1, &mut batch).await.expect("an open receiver receives");
            arrived_count += batch.len();
            assert!(arrived_count <= 3, "a message was replayed twice");
            world.settle(&receiver, batch.into_iter().map(|delivery| delivery.reject("still broken")).collect()).await;
        }
    };
    let patient = of(world, &destination).with_patience(3 * world.patience());
    let replaying = patient.replay(slowly(), CancellationToken::new(), |_| ());
    let replayed = tokio::select! {
        biased;
        replayed = replaying => replayed.expect("declared"),
        () = still_broken => unreachable!("it goes on for ever"),
    };
    assert!(matches!(replayed.ended, Ended::Complete), "{replayed:?}");
    let progress = replayed.progress;
    assert_eq!((progress.replayed_count, progress.died_again_count), (3, 3), "{replayed:?}");
    let letters = all(world, &destination).await;
    assert_eq!(bodies(&letters), ["1", "2", "3"]);
    assert!(letters.iter().all(|letter| letter.provenance().replay_count == 1), "{letters:?}");
    let next = replay(world, &destination, Replay::default()).await;
    assert_eq!(next.progress.replayed_count, 3, "another run may");
}

async fn a_message_that_died_again_carries_its_last_rejection(world: &World) {
    let destination = world.declared("last").await;
    bury(world, &destination, &["1"], "the first reason").await;
    let first = all(world, &destination).await.remove(0);
    for lives in 1..=2 {
        replay(world, &destination, Replay::default()).await;
        let receiver = world.receiver(&destination).await;
        let delivery = world.take_one(&receiver).await;
        world.settle(&receiver, vec![delivery.reject(format!("reason {lives}"))]).await;
        let letters = all(world, &destination).await;
        assert_eq!(letters.len(), 1, "{letters:?}");
        let provenance = letters[0].provenance();
        assert_eq!(provenance.reason, Some(format!("reason {lives}")));
        assert_eq!((provenance.replay_count, &provenance.rejected_by), (lives, &first.provenance().rejected_by));
        assert!(provenance.at >= first.provenance().at, "{provenance:?}");
        assert_eq!(letters[0].message().id(), first.message().id());
    }
}

async fn a_replay_starts_the_handler_of_the_group_it_died_in_alone(world: &World) {
    let audit = Group::new("audit").expect("a legal name");
    let destination = world.declared_with("groups", &[&audit]).await;
    let subscriptions = [Subscription::to(destination.clone()), Subscription::grouped(destination.clone(), audit)];
    for broken in &subscriptions {
        world.publish_keyed(&destination, "ORD-1", &[&format!("for {broken}")]).await;
        for subscription in &subscriptions {
            let receiver = world.receiver_of(subscription, SubscribeOptions::default()).await;
            let delivery = world.take_one(&receiver).await;
            let settlement = if subscription == broken { delivery.reject("bad") } else { delivery.ack() };
            world.settle(&receiver, vec![settlement]).await;
        }
    }
    assert_eq!(replay(world, &destination, Replay::default()).await.progress.replayed_count, 2);
    let handled: Arc<Mutex<Vec<(String, String)>>> = Arc::default();
    let shutdown = CancellationToken::new();
    let running = subscriptions.iter().map(|subscription| {
        let handled = Arc::clone(&handled);
        let handler = move |envelope: Envelope| {
            let body = String::from_utf8_lossy(envelope.message().body()).into_owned();
            let mut handled = handled.lock().expect("nothing panics while it holds this");
            handled.push((envelope.subscription().to_string(), body));
            std::future::ready(Ok(()))
        };
        let bus = Arc::clone(&world.bus);
        let pipeline = Pipeline::new(bus, subscription.clone(), Arc::new(handler), world.seams.clone());
        pipeline.run(shutdown.clone())
    });
    let watching = async {
        let handled_count = || handled.lock().expect("nothing panics while it holds this").len();
        let looking = async {
            while handled_count() < 2 {
                world.sleep(world.patience()).await;
            }
        };
        let in_time = world.seams.clock.timeout_here(world.due_max(), looking).await;
        assert!(in_time.is_some(), "{} of 2 were handled", handled_count());
        // What is for the other group is settled, too.
        world.sleep(2 * world.patience()).await;
        shutdown.cancel();
    };
    let (ended, ()) = tokio::join!(futures_util::future::join_all(running), watching);
    assert!(ended.iter().all(Result::is_ok), "{ended:?}");
    let mut handled = handled.lock().expect("nothing panics while it holds this").clone();
    handled.sort();
    let expected: Vec<(String, String)> =
        subscriptions.iter().map(|subscription| (subscription.to_string(), format!("for {subscription}"))).collect();
    assert_eq!(handled, expected, "group and message");
    for subscription in &subscriptions {
        let receiver = world.receiver_of(subscription, SubscribeOptions::default()).await;
        assert!(world.poll(&receiver).await.is_empty(), "{subscription}: what is for others is acknowledged");
    }
}

async fn a_dead_letter_without_provenance_is_replayed_to_its_destination(world: &World) {
    let destination = world.declared("foreign").await;
    let graves = destination.dead_letters().expect("a short name");
    world.publish(&graves, &["1"]).await;
    assert_eq!(replay(world, &destination, Replay::default()).await.progress.replayed_count, 1);
    assert_eq!(world::body(&world.take_one(&world.receiver(&destination).await).await), "1");
    assert!(all(world, &destination).await.is_empty());
}

async fn a_dead_letter_whose_origin_is_gone_stays_and_the_others_are_replayed(world: &World) {
    let (destination, gone) = (world.declared("mixed").await, world.undeclared("gone"));
    let graves = destination.dead_letters().expect("a short name");
    let headers = [(dead_letter::DESTINATION, gone.to_string())].into_iter().collect();
    world.publish_all(vec![Outgoing::new(graves, world.message("1").with_headers(headers))]).await;
    bury(world, &destination, &["2"], "bad").await;
    let replayed = replay(world, &destination, Replay::default()).await;
    assert!(matches!(replayed.ended, Ended::Complete), "{replayed:?}");
    assert_eq!((replayed.progress.replayed_count, replayed.progress.failed_count), (1, 1), "{replayed:?}");
    assert!(replayed.failures[0].reason.contains(gone.as_str()), "{replayed:?}");
    assert_eq!(world::body(&world.take_one(&world.receiver(&destination).await).await), "2");
    assert_eq!(bodies(&all(world, &destination).await), ["1"]);
}
