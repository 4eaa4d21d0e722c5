//! Shutdown: what runs may finish, what waits goes back unburned, and it ends in time.

use std::sync::Arc;
use std::time::Duration;

use bus::pipeline::{Envelope, Failure, Pipeline, PipelineState, Policy};
use bus::{Bus, ClockExt, ErrorKind};
use tests::harness::{Counts, End, Rig, pause_of, policy, sleeps};
use tests::world::in_virtual_time;
use tokio_util::sync::CancellationToken;

const SECOND: Duration = Duration::from_secs(1);
const DRAIN: Duration = Duration::from_secs(10);
/// What closing a receiver that does not answer may take on top.
const CLOSE_MAX: Duration = SECOND;

/// Runs `pipeline`, asks it to stop after `span`, and answers how long it took from then on.
async fn stop_after(rig: &Rig, span: Duration, pipeline: Pipeline) -> Duration {
    let shutdown = CancellationToken::new();
    let status = pipeline.status();
    let ask = async {
        rig.pass(span).await;
        shutdown.cancel();
    };
    let stopping = futures_util::future::join(pipeline.run(shutdown.clone()), ask);
    let (ended, ()) = rig.seams.clock.timeout(3_600 * SECOND, stopping).await.expect("it stops within an hour");
    ended.expect("an end that was asked for is no error");
    assert_eq!(status.state(), PipelineState::Stopped);
    rig.elapsed() - span
}

fn narrow() -> Policy {
    Policy { concurrency_max: 2, prefetch_count_max: 10, drain: DRAIN, ..policy() }
}

#[test]
fn running_handlers_finish_and_everything_else_goes_back_at_once_unburned() {
    in_virtual_time(async {
        let rig = Rig::new().await;
        rig.publish("a", &["runs", "follows"]).await;
        rig.publish("b", &["runs too"]).await;
        rig.publish("c", &["is ready"]).await;
        let counts = Counts::new(rig.seams.clone());
        let pipeline = rig.pipeline(narrow(), sleeps(&rig, 5 * SECOND)).with_attempts(Arc::new(counts.clone()));
        let look = async {
            rig.pass(SECOND + SECOND / 100).await;
            let back: Vec<_> = rig.waiting().await;
            assert_eq!(back.len(), 1, "the follower waits for its head: {back:?}");
            assert_eq!((back[0].message().id().to_string().as_str(), back[0].receive_count()), ("is ready", Some(1)));
        };
        let (took, ()) = futures_util::future::join(stop_after(&rig, SECOND, pipeline), look).await;
        assert!(took < 5 * SECOND, "it ends with the last handler: {took:?}");
        assert_eq!(rig.record.starts(), [("runs".to_owned(), 1), ("runs too".to_owned(), 1)]);
        assert_eq!(rig.left_count(), 2, "what ran was acked");
        for delivery in rig.waiting().await {
            let id = delivery.message().id().to_string();
            assert_eq!(counts.of(&id), 0, "{id}");
            // The look above counted one hand-out of the other.
            assert!(id == "is ready" || delivery.receive_count() == Some(1), "{id}: {:?}", delivery.receive_count());
        }
    });
}

#[test]
fn a_handler_that_outlasts_the_drain_is_cancelled_given_back_and_not_counted() {
    in_virtual_time(async {
        let rig = Rig::new().await;
        rig.publish("a", &["endless", "follows"]).await;
        let counts = Counts::new(rig.seams.clone());
        let pipeline = rig.pipeline(narrow(), sleeps(&rig, 60 * SECOND)).with_attempts(Arc::new(counts.clone()));
        let took = stop_after(&rig, SECOND, pipeline).await;
        assert!(took <= DRAIN, "{took:?}");
        let run = &rig.record.runs()[0];
        let (at, end) = run.ended.clone().expect("it ended");
        assert_eq!(end, End::Dropped);
        assert!(at - SECOND >= DRAIN * 3 / 4, "most of the drain is for handlers: {:?}", at - SECOND);
        let back = rig.waiting().await;
        let ids: Vec<String> = back.iter().map(|delivery| delivery.message().id().to_string()).collect();
        assert_eq!(ids, ["endless", "follows"]);
        assert_eq!(counts.of("endless"), 0);
        assert!(back.iter().all(|delivery| delivery.receive_count() == Some(1)));
    });
}

#[test]
fn the_drain_ends_in_time_whatever_hangs() {
    let check = |hanging: &'static [&'static str], works: Duration, took_max: Duration| {
        in_virtual_time(async {
            let rig = Rig::new().await;
            rig.publish("a", &["m1", "m2"]).await;
            rig.publish("b", &["m3"]).await;
            rig.meddler.hang(hanging);
            let took = stop_after(&rig, 2 * SECOND, rig.pipeline(narrow(), sleeps(&rig, works))).await;
            assert!(took <= took_max, "with {hanging:?} hanging it took {took:?}");
            assert_eq!(rig.record.running_count(), 0);
        });
    };
    for works in [SECOND, 5 * SECOND, 60 * SECOND] {
        check(&["settle"], works, DRAIN);
        check(&["release"], works, DRAIN);
        check(&["receive"], works, DRAIN);
        check(&["extend"], works, DRAIN);
        check(&["settle", "release", "receive", "extend", "close"], works, DRAIN + CLOSE_MAX);
    }
    check(&["subscribe"], SECOND, Duration::ZERO);
}

#[test]
fn an_idle_or_paused_pipeline_stops_at_once() {
    let check = |fault: Option<ErrorKind>, spans: Duration| {
        in_virtual_time(async {
            let rig = Rig::new().await;
            rig.meddler.fail_receive(fault);
            let took = stop_after(&rig, spans, rig.pipeline(narrow(), sleeps(&rig, SECOND))).await;
            assert_eq!(took, Duration::ZERO, "{fault:?} after {spans:?}");
        });
    };
    for spans in [Duration::ZERO, SECOND / 10, 60 * SECOND] {
        check(None, spans);
        check(Some(ErrorKind::Unavailable), spans);
    }
}

#[test]
fn an_outage_found_or_over_while_draining_does_not_hide_that_it_drains() {
    // The first finds the dependency down, the second finds it up again, the third keeps the drain going.
    for (span, is_paused, left_count) in [(SECOND, false, 2), (8 * SECOND, true, 1)] {
        in_virtual_time(async {
            let rig = Rig::new().await;
            for key in ["first", "second", "third"] {
                rig.publish(key, &[key]).await;
            }
            let clock = Arc::clone(&rig.seams.clock);
            let work = move |envelope: Envelope| {
                let clock = Arc::clone(&clock);
                async move {
                    let (takes, answer) = match envelope.message_id().to_string().as_str() {
                        "first" => (5 * SECOND, Err(Failure::Unavailable("down".to_owned()))),
                        "second" => (9 * SECOND, Ok(())),
                        _ => (12 * SECOND, Ok(())),
                    };
                    clock.sleep(takes).await;
                    answer
                }
            };
            let pipeline = rig.pipeline(Policy { concurrency_max: 3, ..narrow() }, work);
            let status = pipeline.status();
            let look = async {
                rig.pass(span - SECOND / 10).await;
                assert_eq!(pause_of(&status.state()).is_some(), is_paused);
                rig.pass(SECOND / 5).await;
                while status.state() != PipelineState::Stopped {
                    assert_eq!(status.state(), PipelineState::Draining, "{:?}", rig.elapsed());
                    rig.pass(SECOND / 10).await;
                }
            };
            let (took, ()) = futures_util::future::join(stop_after(&rig, span, pipeline), look).await;
            assert!(took <= DRAIN, "{took:?}");
            assert_eq!(rig.left_count(), left_count);
        });
    }
}

#[test]
fn what_arrives_while_draining_goes_back() {
    in_virtual_time(async {
        let rig = Rig::new().await;
        rig.meddler.slow_receive(2 * SECOND);
        rig.publish("a", &["m"]).await;
        let took = stop_after(&rig, SECOND, rig.pipeline(narrow(), sleeps(&rig, SECOND))).await;
        assert!(took <= DRAIN, "{took:?}");
        assert_eq!(rig.record.start_count(), 0);
        assert_eq!(rig.waiting().await[0].receive_count(), Some(1));
    });
}

#[test]
fn starts_counted_but_not_made_because_of_a_shutdown_are_taken_back() {
    in_virtual_time(async {
        let rig = Rig::new().await;
        rig.publish("a", &["m"]).await;
        let counts = Counts::new(rig.seams.clone());
        counts.slow_down(2 * SECOND, SECOND);
        let pipeline = rig.pipeline(narrow(), sleeps(&rig, SECOND)).with_attempts(Arc::new(counts.clone()));
        let took = stop_after(&rig, SECOND, pipeline).await;
        assert!(took <= DRAIN, "{took:?}");
        assert_eq!((rig.record.start_count(), counts.of("m")), (0, 0));
        assert_eq!(rig.waiting().await.len(), 1);
    });
}

#[test]
fn a_bus_closed_underneath_ends_the_pipeline() {
    in_virtual_time(async {
        let rig = Rig::new().await;
        rig.publish("a", &["m"]).await;
        let pipeline = rig.pipeline(narrow(), sleeps(&rig, 2 * SECOND));
        let close = async {
            rig.pass(SECOND).await;
            rig.bus.close(SECOND).await.expect("nothing to flush");
        };
        let (ended, ()) = futures_util::future::join(pipeline.run(CancellationToken::new()), close).await;
        ended.expect("no error");
        assert!(rig.elapsed() <= SECOND + DRAIN, "{:?}", rig.elapsed());
    });
}
