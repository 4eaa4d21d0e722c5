//! A dependency, the bus or the store is down: nothing is lost, nothing burns, nothing spins.

use std::sync::Arc;
use std::time::Duration;

use bus::pipeline::{Envelope, Failure, Pipeline, PipelineState, Policy};
use bus::{Bus, Clock, ErrorKind, Moment, ReceiverExt, SubscribeOptions};
use tests::harness::{Counts, Rig, Work, pause_of, policy};
use tests::world::in_virtual_time;

const SECOND: Duration = Duration::from_secs(1);
const OUTAGE: Duration = Duration::from_secs(600);
/// Probes in ten minutes at gaps of half a second doubling to ten, with jitter from none to all.
const PROBES: std::ops::RangeInclusive<usize> = 30..=66;

/// Answers *unavailable* until the outage is over, after `takes`.
fn down_for_a_while(clock: Arc<dyn Clock>, takes: Duration) -> impl Fn(Envelope) -> Work {
    move |_| {
        let clock = Arc::clone(&clock);
        Box::pin(async move {
            if !takes.is_zero() {
                clock.sleep_until(clock.now() + takes).await;
            }
            let is_over = clock.now() >= Moment::from_origin(OUTAGE);
            if is_over { Ok(()) } else { Err(Failure::Unavailable("the db is down".to_owned())) }
        })
    }
}

/// Publishes `m00` to `m19` over four keys, and `alone` without one.
async fn publish_some(rig: &Rig) {
    for number in 0..20 {
        rig.publish(&format!("key-{}", number % 4), &[&format!("m{number:02}")]).await;
    }
    rig.publish("", &["alone"]).await;
}

/// Runs `pipeline` through the outage: paused in it, running and done soon after.
async fn outlast(rig: &Rig, pipeline: Pipeline, reason: &str) {
    let status = pipeline.status();
    rig.alongside(pipeline, async {
        for _ in 0..59 {
            rig.pass(10 * SECOND).await;
            assert_eq!(pause_of(&status.state()), Some(reason), "{:?} into the outage", rig.elapsed());
        }
        assert_eq!(rig.left_count(), 21);
        rig.emptied().await;
        assert!(rig.elapsed() < OUTAGE + 31 * SECOND, "{:?}", rig.elapsed());
        assert_eq!(status.state(), PipelineState::Running);
    })
    .await;
    assert!(rig.dead_letters().await.is_empty());
}

#[test]
fn an_outage_of_a_dependency_burns_no_attempt_however_long() {
    for (takes, is_durable) in [(Duration::ZERO, false), (Duration::ZERO, true), (SECOND, false), (SECOND, true)] {
        in_virtual_time(async {
            let rig = Rig::new().await;
            publish_some(&rig).await;
            let counts = Counts::new(rig.seams.clone());
            let policy = Policy { attempt_count_max: 2, ..policy() };
            let mut pipeline = rig.pipeline(policy, down_for_a_while(Arc::clone(&rig.seams.clock), takes));
            if is_durable {
                pipeline = pipeline.with_attempts(Arc::new(counts.clone()));
            }
            outlast(&rig, pipeline, "the db is down").await;

            let runs = rig.record.runs();
            let (failed, passed) = runs.split_at(runs.len() - 21);
            assert!(runs.iter().all(|run| run.attempt == 1), "{:?}", rig.record.starts());
            assert!(passed.iter().all(|run| run.ended.as_ref().is_some_and(|(at, _)| *at >= OUTAGE)));
            // Before the first answer five could start at once: one per key, and the one without.
            let probe_count = failed.len() - if takes.is_zero() { 0 } else { 4 };
            assert!(PROBES.contains(&probe_count), "{probe_count} starts");
            let mut keys = std::collections::BTreeMap::new();
            for run in passed.iter().filter(|run| !run.key.is_empty()) {
                let before = keys.insert(run.key.clone(), run.id.clone());
                assert!(before.is_none_or(|before| before < run.id), "{}: out of order", run.id);
            }
            if is_durable {
                assert_eq!((counts.of("m00"), counts.of("m19")), (1, 1));
            }
        });
    }
}

#[test]
fn attempts_that_failed_before_an_outage_still_count_after_it() {
    for is_durable in [false, true] {
        in_virtual_time(async {
            let rig = Rig::new().await;
            rig.publish("a", &["m"]).await;
            let record = rig.record.clone();
            let work = move |_| {
                let start = record.start_count();
                async move {
                    match start {
                        1 | 4 => Err(Failure::Retry("no stock".to_owned())),
                        2 | 3 => Err(Failure::Unavailable("down".to_owned())),
                        _ => panic!("started once too often"),
                    }
                }
            };
            let policy = Policy { attempt_count_max: 2, ..policy() };
            let mut pipeline = rig.pipeline(policy, work);
            if is_durable {
                pipeline = pipeline.with_attempts(Arc::new(Counts::new(rig.seams.clone())));
            }
            rig.process(pipeline).await;
            let attempts: Vec<u32> = rig.record.runs().iter().map(|run| run.attempt).collect();
            assert_eq!(attempts, [1, 2, 2, 2]);
            assert_eq!(rig.dead_letters().await.len(), 1);
        });
    }
}

#[test]
fn a_bus_that_cannot_be_received_from_pauses_and_resumes() {
    in_virtual_time(async {
        let rig = Rig::new().await;
        publish_some(&rig).await;
        rig.meddler.fail_receive(Some(ErrorKind::Unavailable));
        let pipeline = rig.pipeline(policy(), async |_| Ok(()));
        let meddler = Arc::clone(&rig.meddler);
        let mend = async {
            rig.pass(OUTAGE).await;
            let call_count = meddler.call_count("receive");
            assert!(PROBES.contains(&call_count), "{call_count} calls");
            meddler.fail_receive(None);
            std::future::pending::<()>().await;
        };
        tokio::select! {
            biased;
            () = mend => {}
            () = outlast(&rig, pipeline, "receive: receive: the test says so") => {}
        }
        assert_eq!(rig.record.start_count(), 21);
    });
}

#[test]
fn a_bus_that_is_back_is_shown_even_when_nothing_arrives() {
    // An error may take its time: that is no sign of life.
    for receive_takes in [Duration::ZERO, 3 * SECOND] {
        in_virtual_time(async {
            let rig = Rig::new().await;
            rig.meddler.slow_receive(receive_takes);
            rig.meddler.fail_receive(Some(ErrorKind::Unavailable));
            let pipeline = rig.pipeline(policy(), async |_| Ok(()));
            let status = pipeline.status();
            rig.alongside(pipeline, async {
                rig.until("it is noticed", || pause_of(&status.state()).is_some()).await;
                while rig.elapsed() < OUTAGE {
                    assert!(pause_of(&status.state()).is_some(), "{:?} into the outage", rig.elapsed());
                    rig.pass(SECOND / 10).await;
                }
                rig.meddler.fail_receive(None);
                rig.until("it is shown", || status.state() == PipelineState::Running).await;
                let longest = 2 * policy().probe.max + receive_takes + policy().probe.max;
                assert!(rig.elapsed() < OUTAGE + longest + SECOND, "{:?}", rig.elapsed());
                publish_some(&rig).await;
                rig.emptied().await;
            })
            .await;
        });
    }
}

#[test]
fn what_is_received_shows_that_the_bus_is_back_whatever_its_handler_says() {
    for (answer, state) in [
        (Failure::Reject("unreadable".to_owned()), PipelineState::Running),
        (Failure::Unavailable("the db is down".to_owned()), PipelineState::Paused("the db is down".to_owned())),
    ] {
        in_virtual_time(async {
            let rig = Rig::new().await;
            rig.meddler.fail_receive(Some(ErrorKind::Unavailable));
            let given = answer.clone();
            let pipeline = rig.pipeline(policy(), move |_| std::future::ready(Err(given.clone())));
            let status = pipeline.status();
            rig.alongside(pipeline, async {
                rig.until("it is noticed", || pause_of(&status.state()).is_some()).await;
                rig.publish("a", &["m"]).await;
                rig.meddler.fail_receive(None);
                rig.until("it is tried", || rig.record.start_count() > 0).await;
                rig.pass(SECOND / 100).await;
                assert_eq!(status.state(), state);
            })
            .await;
        });
    }
}

#[test]
fn a_store_that_cannot_count_attempts_pauses_and_resumes() {
    in_virtual_time(async {
        let rig = Rig::new().await;
        publish_some(&rig).await;
        let counts = Counts::new(rig.seams.clone());
        counts.set_down(true);
        let policy = Policy { attempt_count_max: 1, ..policy() };
        let pipeline = rig.pipeline(policy, async |_| Ok(())).with_attempts(Arc::new(counts.clone()));
        let mend = async {
            rig.pass(OUTAGE).await;
            let call_count = counts.begin_call_count();
            assert!(PROBES.contains(&call_count), "{call_count} calls");
            assert_eq!(rig.record.start_count(), 0);
            counts.set_down(false);
            std::future::pending::<()>().await;
        };
        tokio::select! {
            biased;
            () = mend => {}
            () = outlast(&rig, pipeline, "store: begin: the store is down") => {}
        }
        assert_eq!(rig.record.start_count(), 21, "each once");
    });
}

#[test]
fn what_was_running_when_the_dependency_went_down_is_not_disturbed() {
    in_virtual_time(async {
        let rig = Rig::new().await;
        rig.publish("a", &["slow", "behind"]).await;
        rig.publish("b", &["down"]).await;
        let clock = Arc::clone(&rig.seams.clock);
        let work = move |envelope: Envelope| {
            let clock = Arc::clone(&clock);
            async move {
                match envelope.message_id().to_string().as_str() {
                    "slow" => clock.sleep_until(Moment::from_origin(20 * SECOND)).await,
                    "down" if clock.now() < Moment::from_origin(60 * SECOND) => {
                        return Err(Failure::Unavailable("down".to_owned()));
                    }
                    _ => {}
                }
                Ok(())
            }
        };
        rig.process(rig.pipeline(policy(), work)).await;
        let slow = rig.record.runs_of("slow");
        assert_eq!((slow.len(), slow[0].receive_count), (1, Some(1)));
        assert_eq!(rig.record.runs_of("behind").len(), 1);
    });
}

#[test]
fn what_never_reached_the_dependency_does_not_end_the_pause() {
    in_virtual_time(async {
        let rig = Rig::new().await;
        let counts = Counts::new(rig.seams.clone());
        counts.finish("duplicate");
        let work = |envelope: Envelope| -> Work {
            let is_invalid = envelope.message_id().to_string() == "invalid";
            Box::pin(async move {
                Err(if is_invalid {
                    Failure::Reject("unreadable".to_owned())
                } else {
                    Failure::Unavailable("the db is down".to_owned())
                })
            })
        };
        rig.publish("a", &["m"]).await;
        let pipeline = rig.pipeline(policy(), work).with_attempts(Arc::new(counts));
        let status = pipeline.status();
        rig.alongside(pipeline, async {
            rig.until("it is paused", || pause_of(&status.state()).is_some()).await;
            // Somebody else takes the message away, so that the probes meet the others.
            take_away(&rig).await;
            for id in ["duplicate", "invalid"] {
                rig.publish("", &[id]).await;
                rig.emptied().await;
                assert_eq!(pause_of(&status.state()), Some("the db is down"), "after {id}");
            }
        })
        .await;
        assert_eq!(rig.dead_letters().await.len(), 1);
    });
}

async fn take_away(rig: &Rig) {
    let receiver = rig.bus.subscribe(&rig.subscription(), SubscribeOptions::default()).await.expect("declared");
    let mut taken = Vec::new();
    receiver.receive(1, &mut taken).await.expect("it was given back");
    for delivery in taken {
        assert!(receiver.settle_one(delivery.ack()).await.is_settled());
    }
    receiver.close().await;
}
