//! Attempts counted durably: before the start, over crashes, and not for other people's faults.

use std::sync::Arc;
use std::time::Duration;

use bus::dead_letter;
use bus::pipeline::{Envelope, Failure, Pipeline, Policy};
use tests::harness::{Counts, Rig, Work, policy, sleeps};
use tests::world::in_virtual_time;

const SECOND: Duration = Duration::from_secs(1);

fn counted<F>(rig: &Rig, counts: &Counts, attempt_count_max: u32, work: F) -> Pipeline
where
    F: Fn(Envelope) -> Work + Send + Sync + 'static,
{
    let policy = Policy { attempt_count_max, ..policy() };
    rig.pipeline(policy, work).with_attempts(Arc::new(counts.clone()))
}

#[test]
fn a_start_is_counted_before_it_happens() {
    in_virtual_time(async {
        let rig = Rig::new().await;
        rig.publish("a", &["m1", "m2"]).await;
        rig.publish("", &["m3"]).await;
        let counts = Counts::new(rig.seams.clone());
        let seen = counts.clone();
        let work = move |envelope: Envelope| -> Work {
            let counted = seen.of(&envelope.message_id().to_string());
            Box::pin(async move {
                assert_eq!(counted, envelope.attempt());
                if counted < 3 { Err(Failure::Retry("again".to_owned())) } else { Ok(()) }
            })
        };
        rig.process(counted(&rig, &counts, 3, work)).await;
        assert_eq!(rig.record.start_count(), 9);
        assert!(rig.dead_letters().await.is_empty());
    });
}

#[test]
fn a_message_that_is_already_done_is_acked_without_a_start() {
    in_virtual_time(async {
        let rig = Rig::new().await;
        rig.publish("a", &["done", "new"]).await;
        let counts = Counts::new(rig.seams.clone());
        counts.finish("done");
        rig.process(counted(&rig, &counts, 1, sleeps(&rig, SECOND))).await;
        assert_eq!(rig.record.starts(), [("new".to_owned(), 1)]);
        assert!(rig.dead_letters().await.is_empty());
    });
}

#[test]
fn a_message_that_ends_the_process_each_time_is_dead_after_n_starts() {
    for attempt_count_max in [1, 3] {
        in_virtual_time(async {
            let rig = Rig::new().await;
            rig.publish("a", &["poison", "after"]).await;
            let counts = Counts::new(rig.seams.clone());
            for crash_count in 1..=attempt_count_max {
                let pipeline = counted(&rig, &counts, attempt_count_max, sleeps(&rig, 5 * SECOND));
                rig.alongside(pipeline, rig.pass(SECOND)).await;
                assert_eq!(rig.record.runs_of("poison").len(), crash_count as usize);
            }
            rig.process(counted(&rig, &counts, attempt_count_max, sleeps(&rig, 5 * SECOND))).await;
            assert_eq!(rig.record.runs_of("poison").len(), attempt_count_max as usize, "no further start");
            assert_eq!(rig.record.runs_of("after").len(), 1, "its key goes on");
            let dead = rig.dead_letters().await;
            assert_eq!((dead.len(), dead[0].id().to_string().as_str()), (1, "poison"));
            let reason = dead[0].headers().text(dead_letter::REASON).expect("a reason");
            assert!(reason.starts_with(&format!("started {attempt_count_max} times")), "{reason}");
        });
    }
}

/// Answers *unavailable* to its first `count` starts.
fn unavailable_at_first(rig: &Rig, count: usize) -> impl Fn(Envelope) -> Work + Send + Sync + use<> {
    let record = rig.record.clone();
    move |_| {
        let is_down = record.start_count() <= count;
        Box::pin(async move { if is_down { Err(Failure::Unavailable("down".to_owned())) } else { Ok(()) } })
    }
}

#[test]
fn a_start_that_found_a_dependency_down_is_taken_back_before_the_next_is_counted() {
    for forgive_takes in [Duration::ZERO, SECOND / 10, 5 * SECOND] {
        in_virtual_time(async {
            let rig = Rig::new().await;
            rig.publish("a", &["m1", "m2"]).await;
            let counts = Counts::new(rig.seams.clone());
            counts.slow_down(Duration::ZERO, forgive_takes);
            rig.process(counted(&rig, &counts, 1, unavailable_at_first(&rig, 3))).await;
            let starts = rig.record.starts();
            let ids: Vec<&str> = starts.iter().map(|(id, _)| id.as_str()).collect();
            assert_eq!(ids, ["m1", "m1", "m1", "m1", "m2"], "a pardon takes {forgive_takes:?}");
            assert!(starts.iter().all(|(_, attempt)| *attempt == 1), "{starts:?}");
            assert_eq!((counts.of("m1"), rig.dead_letters().await.len()), (1, 0));
        });
    }
}

#[test]
fn another_process_does_not_count_a_start_that_is_being_taken_back() {
    in_virtual_time(async {
        let rig = Rig::new().await;
        rig.publish("a", &["m"]).await;
        let counts = Counts::new(rig.seams.clone());
        counts.slow_down(Duration::ZERO, SECOND);
        let one = counted(&rig, &counts, 1, unavailable_at_first(&rig, 1));
        let other = counted(&rig, &counts, 1, unavailable_at_first(&rig, 1));
        rig.alongside(one, rig.alongside(other, rig.emptied())).await;
        assert_eq!(rig.record.starts(), [("m".to_owned(), 1), ("m".to_owned(), 1)]);
        assert!(rig.dead_letters().await.is_empty());
    });
}

#[test]
fn one_count_is_made_for_all_that_gathered_meanwhile() {
    in_virtual_time(async {
        let rig = Rig::new().await;
        for number in 0..100 {
            rig.publish("", &[&format!("m{number}")]).await;
        }
        let counts = Counts::new(rig.seams.clone());
        counts.slow_down(SECOND / 100, Duration::ZERO);
        rig.process(counted(&rig, &counts, 1, sleeps(&rig, Duration::ZERO))).await;
        assert_eq!(rig.record.start_count(), 100);
        assert!(counts.begin_call_count() <= 3, "{} calls for 100 starts", counts.begin_call_count());
    });
}

#[test]
fn attempts_counted_in_the_process_start_anew_in_the_next_one() {
    in_virtual_time(async {
        let rig = Rig::new().await;
        rig.publish("a", &["m"]).await;
        let fail = async |_: Envelope| Err(Failure::Retry("no stock".to_owned()));
        let policy = Policy { attempt_count_max: 2, ..policy() };
        rig.alongside(rig.pipeline(policy, fail), rig.pass(SECOND / 2)).await;
        rig.process(rig.pipeline(policy, fail)).await;
        let attempts: Vec<u32> = rig.record.runs().iter().map(|run| run.attempt).collect();
        assert_eq!(attempts, [1, 1, 2]);
    });
}

#[test]
fn a_dead_letter_that_is_replayed_begins_with_a_first_attempt() {
    in_virtual_time(async {
        let rig = Rig::new().await;
        let counts = Counts::new(rig.seams.clone());
        let fails = |_: Envelope| -> Work { Box::pin(async { Err(Failure::Retry("broken".to_owned())) }) };
        rig.publish("a", &["m"]).await;
        rig.process(counted(&rig, &counts, 3, fails)).await;
        assert_eq!((rig.dead_letters().await.len(), rig.record.start_count()), (1, 3));
        rig.publish("a", &["m"]).await;
        rig.process(counted(&rig, &counts, 3, |_: Envelope| -> Work { Box::pin(async { Ok(()) }) })).await;
        assert_eq!(rig.record.start_count(), 4, "the replay was started and succeeded");
        assert_eq!(rig.dead_letters().await.len(), 1, "and died no second time");
    });
}
