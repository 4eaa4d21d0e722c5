//! Buses that do not answer, or not with what was hoped for.

use async_trait::async_trait;
use bus::dead_letter::{Discard, Ended, Filter, Replay};
use bus::layer::{Layer, LayerExt, ReceiverLayer, layered_receiver};
use bus::{ClockExt, Error, ErrorKind, Receiver, Result, SettleOutcome, Settlement, Subscription};
use bus_memory::MemoryOptions;
use tests::harness::{Publication, Rig, Settling};
use tests::world::in_virtual_time;
use tokio_util::sync::CancellationToken;

use super::*;

/// Answers the publication of `m2` so, and all others as the bus does.
fn meddle(rig: &Rig, publication: Publication) {
    rig.meddler.on_publish(move |outgoing| match outgoing.message().id().to_string().as_str() {
        "m2" => publication,
        _ => Publication::Through,
    });
}

#[test]
fn what_is_not_accepted_stays_and_the_others_go_on() {
    let publications = [
        (Publication::Refused(ErrorKind::TooLarge), false),
        (Publication::Refused(ErrorKind::Throttled), false),
        (Publication::Lost, false),
        (Publication::Unanswered, false),
        (Publication::AnswerLost, true),
    ];
    for (publication, arrives) in publications {
        in_virtual_time(async {
            let rig = Rig::new().await;
            bury(&rig, &["m1", "m2", "m3"], "bad").await;
            meddle(&rig, publication);
            // One by one: an answer that is missing is then missing for the last.
            let replayed = replay(&rig, paced(1)).await;
            assert!(matches!(replayed.ended, Ended::Complete), "{publication:?} {replayed:?}");
            assert_eq!((replayed.progress.replayed_count, replayed.progress.failed_count), (2, 1), "{publication:?}");
            assert_eq!(replayed.failures.len(), 1, "{publication:?}");
            assert_eq!(replayed.failures[0].message_id.to_string(), "m2", "{publication:?}");
            assert_eq!(ids(&all(&rig).await), ["m2"], "{publication:?}: never acknowledged on a guess");
            let expected: &[&str] = if arrives { &["m1", "m2", "m3"] } else { &["m1", "m3"] };
            assert_eq!(back(&rig).await, expected, "{publication:?}");
            assert_eq!(rig.meddler.published().len(), 3, "{publication:?}: each is sent once in a run");
        });
    }
}

#[test]
fn a_replay_stops_when_the_bus_is_away_or_when_it_is_to_stop_at_a_failure() {
    let cases = [
        (ErrorKind::Unavailable, false),
        (ErrorKind::Closed, false),
        (ErrorKind::Unauthorized, false),
        (ErrorKind::TooLarge, true),
    ];
    for (kind, stop_at_failure) in cases {
        in_virtual_time(async {
            let rig = Rig::new().await;
            bury(&rig, &["m1", "m2", "m3"], "bad").await;
            meddle(&rig, Publication::Refused(kind));
            let replayed = replay(&rig, Replay { stop_at_failure, ..paced(1) }).await;
            assert!(matches!(&replayed.ended, Ended::Failed(error) if error.kind() == kind), "{replayed:?}");
            assert_eq!((replayed.progress.replayed_count, replayed.progress.failed_count), (1, 1), "{replayed:?}");
            assert_eq!(ids(&all(&rig).await), ["m2", "m3"], "{kind:?}: the rest is where it was");
        });
    }
}

#[test]
fn what_was_replayed_and_not_removed_is_told_and_removed_when_it_comes_again() {
    for settling in [Settling::LeaseLost, Settling::Failed] {
        in_virtual_time(async {
            let rig = Rig::new().await;
            bury(&rig, &["m1", "m2"], "bad").await;
            rig.meddler.settle("m1", settling);
            let replayed = replay(&rig, Replay::default()).await;
            assert_eq!((replayed.progress.replayed_count, replayed.progress.unremoved_count), (2, 1), "{replayed:?}");
            assert!(matches!(replayed.ended, Ended::Complete), "{replayed:?}");
            assert_eq!(ids(&all(&rig).await), ["m1"], "{settling:?}: twice at worst, never lost");

            let rig = Rig::new().await;
            bury(&rig, &["m1", "m2"], "bad").await;
            rig.meddler.settle("m1", settling);
            // Longer than the lease that goes on.
            let patient = of(&rig).with_patience(200 * SECOND);
            let replayed = patient.replay(Replay::default(), CancellationToken::new(), |_| ()).await.expect("declared");
            assert_eq!((replayed.progress.replayed_count, replayed.progress.unremoved_count), (2, 0), "{replayed:?}");
            assert_eq!(back(&rig).await, ["m1", "m2"], "{settling:?}: sent once");
            assert!(all(&rig).await.is_empty(), "{settling:?}");
        });
    }
}

#[test]
fn shutdown_waits_neither_for_a_bus_that_does_not_answer_nor_for_the_pace() {
    for hanging in [&["subscribe"][..], &["receive"], &["publish"], &["settle"], &["release"], &["close"], &[]] {
        in_virtual_time(async {
            let rig = Rig::new().await;
            bury(&rig, &["m1", "m2", "m3"], "bad").await;
            let shutdown = CancellationToken::new();
            rig.meddler.hang(hanging);
            let slow = of(&rig).with_patience(3_600 * SECOND);
            let stopping = async {
                rig.pass(SECOND / 2).await;
                shutdown.cancel();
            };
            let replaying = slow.replay(paced(1), shutdown.clone(), |_| ());
            let (replayed, ()) = tokio::join!(replaying, stopping);
            let replayed = replayed.expect("declared");
            assert!(matches!(replayed.ended, Ended::ShutDown), "{hanging:?} {replayed:?}");
            if hanging.is_empty() {
                assert_eq!(replayed.progress.replayed_count, 1, "nothing is sent after it: {replayed:?}");
            }
            // Two seconds for a call under way and ten for giving back.
            assert!(rig.elapsed() <= 13 * SECOND, "{hanging:?} took {:?}", rig.elapsed());
            rig.meddler.hang(&[]);
            rig.pass(200 * SECOND).await;
            let mut found = [ids(&all(&rig).await), back(&rig).await].concat();
            found.sort();
            found.dedup();
            assert_eq!(found, ["m1", "m2", "m3"], "{hanging:?}: none is lost");
        });
    }
}

#[test]
fn a_receive_that_fails_ends_a_list_with_its_error_and_a_replay_with_its_counts() {
    in_virtual_time(async {
        let rig = Rig::new().await;
        bury(&rig, &["m1", "m2"], "bad").await;
        let fail_after_one = |progress: &bus::dead_letter::Progress| {
            if progress.replayed_count == 1 {
                rig.meddler.fail_receive(Some(ErrorKind::Unavailable));
            }
        };
        let replayed = of(&rig).replay(paced(1), CancellationToken::new(), fail_after_one).await.expect("it began");
        assert!(matches!(&replayed.ended, Ended::Failed(error) if error.kind() == ErrorKind::Unavailable));
        assert_eq!(replayed.progress.replayed_count, 1);
        let error = of(&rig).list(&Filter::default(), 10).await.expect_err("the bus is away");
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        rig.meddler.fail_receive(None);
        assert_eq!((ids(&all(&rig).await), back(&rig).await), (vec!["m2".to_owned()], vec!["m1".to_owned()]));
    });
}

#[test]
fn a_full_hand_ends_a_replay_and_says_so() {
    in_virtual_time(async {
        let rig = Rig::new().await;
        for id in numbered(300) {
            bury(&rig, &[&id], if id == "m299" { "this one" } else { "bad" }).await;
        }
        let filter = Filter { reason_contains: Some("this one".to_owned()), ..Filter::default() };
        let few = of(&rig).with_held_count_max(200);
        let replay = Replay { filter: filter.clone(), ..Replay::default() };
        let replayed = few.replay(replay.clone(), CancellationToken::new(), |_| ()).await.expect("declared");
        assert!(matches!(replayed.ended, Ended::Full), "{replayed:?}");
        assert_eq!((replayed.progress.examined_count, replayed.progress.replayed_count), (200, 0), "{replayed:?}");
        let last = bus::MessageId::parse("m299").expect("legal");
        let error = few.show(&last).await.expect_err("not among the first 200");
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
        let replayed = of(&rig).replay(replay, CancellationToken::new(), |_| ()).await.expect("declared");
        assert_eq!((replayed.progress.examined_count, replayed.progress.replayed_count), (300, 1), "{replayed:?}");
        assert_eq!(back(&rig).await, ["m299"]);
    });
}

#[test]
fn two_dead_letters_of_one_id_are_both_listed_and_both_replayed() {
    in_virtual_time(async {
        let rig = Rig::new().await;
        bury(&rig, &["m1", "m1", "m2"], "bad").await;
        assert_eq!(ids(&all(&rig).await), ["m1", "m1", "m2"]);
        for pace in [Replay::default(), paced(1)] {
            let replayed = replay(&rig, pace).await;
            assert_eq!((replayed.progress.replayed_count, replayed.progress.died_again_count), (3, 0), "{replayed:?}");
            let mut found = back(&rig).await;
            found.sort();
            assert_eq!(found, ["m1", "m1", "m2"]);
            assert!(all(&rig).await.is_empty());
            let receiver = rig.bus.subscribe(&rig.subscription(), SubscribeOptions::default()).await.expect("declared");
            let mut deliveries: Vec<Delivery> = Vec::new();
            receiver.receive(3, &mut deliveries).await.expect("just replayed");
            let rejects = deliveries.into_iter().map(|delivery| delivery.reject("again")).collect();
            assert!(receiver.settle(rejects).await.iter().all(bus::SettleOutcome::is_settled));
        }
    });
}

#[test]
fn a_bus_without_dead_letters_says_so_when_asked_for_them() {
    in_virtual_time(async {
        let rig = Rig::on(MemoryOptions { dead_letters: false, ..MemoryOptions::default() }).await;
        let bus: Arc<dyn Bus> = Arc::clone(&rig.bus) as _;
        let error = DeadLetters::of(bus, &rig.queue, rig.seams.clone()).expect_err("there are none");
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    });
}

/// Says of every ack that it failed, and gives the delivery back at once.
#[derive(Debug)]
struct Stubborn;

#[async_trait]
impl Layer for Stubborn {
    async fn subscribe(
        &self,
        subscription: &Subscription,
        options: SubscribeOptions,
        next: &dyn Bus,
    ) -> Result<Arc<dyn Receiver>> {
        Ok(layered_receiver(next.subscribe(subscription, options).await?, Stubborn))
    }
}

#[async_trait]
impl ReceiverLayer for Stubborn {
    async fn settle(&self, batch: Vec<Settlement>, _: &dyn Receiver) -> Vec<SettleOutcome> {
        let failed = |_| SettleOutcome::Failed(Error::new(ErrorKind::Unauthorized, "settle", "not allowed"));
        batch.into_iter().map(failed).collect()
    }
}

#[test]
fn what_can_never_be_removed_is_left_after_some_tries_and_sent_once() {
    in_virtual_time(async {
        let rig = Rig::new().await;
        bury(&rig, &["m1", "m2", "m3"], "bad").await;
        let bus: Arc<dyn Bus> = Arc::clone(&rig.meddler) as _;
        let stubborn = DeadLetters::of(bus.layer(Stubborn), &rig.queue, rig.seams.clone()).expect("it keeps some");
        let replaying = stubborn.replay(Replay::default(), CancellationToken::new(), |_| ());
        let replayed = rig.seams.clock.timeout(60 * SECOND, replaying).await.expect("it ends").expect("declared");
        assert!(matches!(replayed.ended, Ended::Complete), "{replayed:?}");
        assert_eq!((replayed.progress.replayed_count, replayed.progress.unremoved_count), (3, 3), "{replayed:?}");
        assert!(replayed.progress.examined_count <= 4 * 3, "{replayed:?}");
        assert_eq!(rig.meddler.published().len(), 1, "in one batch, and once");
        let discarding = stubborn.discard(Discard::default(), CancellationToken::new());
        let discarded = rig.seams.clock.timeout(60 * SECOND, discarding).await.expect("it ends").expect("declared");
        assert_eq!((discarded.discarded_count, discarded.failed_count), (0, 3), "{discarded:?}");
        assert_eq!(ids(&all(&rig).await), ["m1", "m2", "m3"], "none is lost");
    });
}
