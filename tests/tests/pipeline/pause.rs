//! Paused by hand: what runs may finish, nothing else happens, and no key loses its order.

use std::sync::Arc;
use std::time::Duration;

use bus::pipeline::{Envelope, Failure, PipelineControl, PipelineState, PipelineStatus, Policy};
use bus::{ClockExt, Moment};
use tests::harness::{Counts, Rig, pause_of, policy, sleeps};
use tests::world::in_virtual_time;
use tokio_util::sync::CancellationToken;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);

fn by_hand(reason: &str) -> PipelineState {
    PipelineState::PausedByHand(reason.to_owned())
}

#[test]
fn what_runs_is_settled_and_everything_else_goes_back_uncounted_until_resumed() {
    for is_durable in [false, true] {
        in_virtual_time(async {
            let rig = Rig::new().await;
            rig.publish("a", &["runs", "follows"]).await;
            rig.publish("b", &["runs too"]).await;
            rig.publish("c", &["is ready"]).await;
            let counts = Counts::new(rig.seams.clone());
            let narrow = Policy { concurrency_max: 2, ..policy() };
            let mut pipeline = rig.pipeline(narrow, sleeps(&rig, 5 * SECOND));
            if is_durable {
                pipeline = pipeline.with_attempts(Arc::new(counts.clone()));
            }
            let (control, status) = (pipeline.control(), pipeline.status());
            rig.alongside(pipeline, async {
                rig.pass(SECOND).await;
                control.pause("maintenance");
                rig.pass(SECOND / 100).await;
                assert_eq!(status.state(), by_hand("maintenance"));
                let depth = rig.bus.depth_now(&rig.subscription()).expect("declared");
                assert_eq!((depth.in_flight_count, depth.ready_count), (2, 2), "only what runs is still held");
                let calls = rig.meddler.call_count("receive");
                rig.pass(HOUR).await;
                assert_eq!(rig.record.starts(), [("runs".to_owned(), 1), ("runs too".to_owned(), 1)]);
                assert_eq!((rig.record.running_count(), rig.left_count()), (0, 2), "what ran was acked");
                assert_eq!(rig.meddler.call_count("receive"), calls, "nothing was asked for");
                assert_eq!((counts.of("follows"), counts.of("is ready")), (0, 0));
                control.resume();
                rig.emptied().await;
                assert_eq!(status.state(), PipelineState::Running);
            })
            .await;
            let runs = rig.record.runs();
            assert!(runs.iter().all(|run| (run.attempt, run.receive_count) == (1, Some(1))), "{runs:#?}");
            assert_eq!(runs.len(), 4);
        });
    }
}

#[test]
fn a_pipeline_can_be_paused_before_it_runs_and_more_than_once() {
    in_virtual_time(async {
        let rig = Rig::new().await;
        rig.publish("a", &["m"]).await;
        let pipeline = rig.pipeline(policy(), sleeps(&rig, SECOND));
        let (control, status) = (pipeline.control(), pipeline.status());
        control.pause("first");
        assert_eq!(status.state(), PipelineState::Starting, "it shows once it is in force");
        rig.alongside(pipeline, async {
            rig.pass(HOUR).await;
            assert_eq!((status.state(), rig.record.start_count()), (by_hand("first"), 0));
            control.clone().pause("second");
            rig.pass(SECOND).await;
            assert_eq!(status.state(), by_hand("second"));
            control.resume();
            control.resume();
            rig.until("it runs", || rig.record.running_count() == 1).await;
            // Taken back before it was seen: nothing was disturbed.
            control.pause("never seen");
            control.resume();
            rig.emptied().await;
            assert_eq!(status.state(), PipelineState::Running);
        })
        .await;
        assert_eq!(rig.record.start_count(), 1);
        control.pause("too late");
        assert_eq!(rig.record.start_count(), 1);
    });
}

#[test]
fn what_a_receive_under_way_still_brings_goes_back() {
    in_virtual_time(async {
        let rig = Rig::new().await;
        rig.meddler.slow_receive(SECOND);
        rig.publish("a", &["m1", "m2"]).await;
        let pipeline = rig.pipeline(policy(), sleeps(&rig, SECOND));
        let control = pipeline.control();
        rig.alongside(pipeline, async {
            rig.pass(SECOND / 2).await;
            control.pause("maintenance");
            rig.pass(HOUR).await;
            assert_eq!(rig.record.start_count(), 0);
            let back = rig.waiting().await;
            let ids: Vec<String> = back.iter().map(|delivery| delivery.message().id().to_string()).collect();
            assert_eq!(ids, ["m1", "m2"]);
            assert!(back.iter().all(|delivery| delivery.receive_count() == Some(1)), "{back:?}");
        })
        .await;
    });
}

#[test]
fn a_start_that_is_being_counted_when_the_pause_comes_is_taken_back() {
    in_virtual_time(async {
        let rig = Rig::new().await;
        rig.publish("a", &["m"]).await;
        let counts = Counts::new(rig.seams.clone());
        counts.slow_down(2 * SECOND, SECOND);
        let pipeline = rig.pipeline(policy(), sleeps(&rig, SECOND)).with_attempts(Arc::new(counts.clone()));
        let control = pipeline.control();
        rig.alongside(pipeline, async {
            rig.pass(SECOND).await;
            control.pause("maintenance");
            rig.pass(HOUR).await;
            assert_eq!((rig.record.start_count(), counts.of("m"), rig.waiting().await.len()), (0, 0, 1));
        })
        .await;
    });
}

#[test]
fn a_paused_pipeline_drains() {
    // Idle since before it ran; with a handler that has three seconds to go.
    for (pause_at, took) in [(None, Duration::ZERO), (Some(SECOND), 3 * SECOND)] {
        in_virtual_time(async {
            let rig = Rig::new().await;
            rig.publish("a", &["m1", "m2"]).await;
            let pipeline = rig.pipeline(policy(), sleeps(&rig, 5 * SECOND));
            let (control, status) = (pipeline.control(), pipeline.status());
            let shutdown = CancellationToken::new();
            if pause_at.is_none() {
                control.pause("maintenance");
            }
            let ask = async {
                rig.pass(pause_at.unwrap_or_default()).await;
                control.pause("maintenance");
                rig.pass(2 * SECOND - rig.elapsed()).await;
                shutdown.cancel();
                rig.pass(SECOND / 100).await;
                let is_running = !took.is_zero();
                assert_eq!(status.state() == PipelineState::Draining, is_running);
            };
            let stopping = async {
                pipeline.run(shutdown.clone()).await.expect("an end that was asked for");
                rig.elapsed() - 2 * SECOND
            };
            let (stopped_after, ()) = futures_util::future::join(stopping, ask).await;
            assert_eq!((stopped_after, status.state()), (took, PipelineState::Stopped), "paused at {pause_at:?}");
            let left_count = if took.is_zero() { 2 } else { 1 };
            assert_eq!(rig.left_count(), left_count);
        });
    }
}

const OUTAGE: Duration = Duration::from_secs(600);

async fn check_pauses_during_an_outage(rig: &Rig, control: PipelineControl, status: PipelineStatus) {
    rig.until("the outage is noticed", || pause_of(&status.state()).is_some()).await;
    control.pause("maintenance");
    rig.pass(60 * SECOND).await;
    let start_count = rig.record.start_count();
    assert_eq!(status.state(), by_hand("maintenance"));
    rig.pass(60 * SECOND).await;
    assert_eq!(rig.record.start_count(), start_count, "nothing probes during a pause by hand");
    control.resume();
    rig.pass(60 * SECOND).await;
    assert_eq!(pause_of(&status.state()), Some("the db is down"), "a hand does not mend it");
    assert!(rig.record.start_count() > start_count, "it probes again");
    assert_eq!(rig.record.running_count_max(), 1);
    control.pause("more maintenance");
    rig.pass(OUTAGE).await;
    assert_eq!(status.state(), by_hand("more maintenance"), "its return does not end the pause");
    assert_eq!(rig.left_count(), 2);
    control.resume();
    rig.emptied().await;
    assert_eq!(status.state(), PipelineState::Running);
}

#[test]
fn a_pause_by_hand_and_an_outage_begin_and_end_on_their_own() {
    in_virtual_time(async {
        let rig = Rig::new().await;
        rig.publish("a", &["m1"]).await;
        rig.publish("b", &["m2"]).await;
        let clock = Arc::clone(&rig.seams.clock);
        let work = move |_: Envelope| {
            let is_over = clock.now() >= Moment::from_origin(OUTAGE);
            async move { if is_over { Ok(()) } else { Err(Failure::Unavailable("the db is down".to_owned())) } }
        };
        let pipeline = rig.pipeline(policy(), work);
        let (control, status) = (pipeline.control(), pipeline.status());
        rig.alongside(pipeline, check_pauses_during_an_outage(&rig, control, status)).await;
        assert!(rig.record.runs().iter().all(|run| run.attempt == 1));
    });
}

#[test]
fn a_message_on_its_way_through_a_brief_pause_does_not_overtake_one_that_went_back() {
    in_virtual_time(async {
        let rig = Rig::new().await;
        let ms = Duration::from_millis;
        rig.meddler.slow_receive(ms(50));
        rig.publish("a", &["head", "f1"]).await;
        let pipeline = rig.pipeline(policy(), sleeps(&rig, ms(200)));
        let control = pipeline.control();
        rig.alongside(pipeline, async {
            rig.pass(ms(60)).await;
            rig.publish("a", &["f2"]).await;
            rig.pass(ms(10)).await;
            control.pause("briefly");
            rig.pass(ms(10)).await;
            control.resume();
            rig.emptied().await;
        })
        .await;
        let starts = rig.record.starts();
        let ids: Vec<&str> = starts.iter().map(|(id, _)| id.as_str()).collect();
        assert_eq!(ids, ["head", "f1", "f2"]);
    });
}

#[test]
fn no_key_loses_its_order_however_often_and_briefly_it_is_paused() {
    const SPANS_MS: [u64; 6] = [0, 1, 3, 10, 17, 40];
    for (receive_ms, release_ms) in [(0, 0), (9, 0), (0, 25), (9, 25)] {
        in_virtual_time(async {
            let rig = Rig::new().await;
            rig.meddler.slow_receive(Duration::from_millis(receive_ms));
            rig.meddler.slow_release(Duration::from_millis(release_ms));
            rig.meddler.slow_settle(Duration::from_millis(2));
            let narrow = Policy { concurrency_max: 2, prefetch_count_max: 7, ..policy() };
            let pipeline = rig.pipeline(narrow, sleeps(&rig, Duration::from_millis(7)));
            let control = pipeline.control();
            for number in 0..120 {
                rig.publish(&format!("key-{}", number % 3), &[&format!("m{number:03}")]).await;
            }
            rig.alongside(pipeline, async {
                for number in 0..120 {
                    let span = |index: usize| Duration::from_millis(SPANS_MS[index % SPANS_MS.len()]);
                    control.pause("briefly");
                    rig.pass(span(number)).await;
                    control.resume();
                    rig.pass(span(number / 2 + 1)).await;
                }
                rig.emptied().await;
            })
            .await;
            for key in ["key-0", "key-1", "key-2"] {
                let runs: Vec<_> = rig.record.runs().into_iter().filter(|run| run.key == key).collect();
                assert_eq!(runs.len(), 40);
                for pair in runs.windows(2) {
                    let ended = pair[0].ended.as_ref().expect("it ended").0;
                    assert!(pair[0].id < pair[1].id && ended <= pair[1].started, "{pair:#?}");
                }
            }
        });
    }
}

#[test]
fn a_control_outlives_its_pipeline() {
    in_virtual_time(async {
        let rig = Rig::new().await;
        let pipeline = rig.pipeline(policy(), sleeps(&rig, SECOND));
        let (control, status) = (pipeline.control(), pipeline.status());
        assert!(format!("{pipeline:?}").contains("orders"), "{pipeline:?}");
        let shutdown = CancellationToken::new();
        shutdown.cancel();
        rig.seams.clock.timeout(SECOND, pipeline.run(shutdown)).await.expect("at once").expect("no error");
        control.pause("too late");
        control.resume();
        assert_eq!(status.state(), PipelineState::Stopped);
    });
}
