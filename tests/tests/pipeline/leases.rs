//! Leases: kept while a handler runs, acted on when lost, handed back before their cap.

use std::sync::Arc;
use std::time::Duration;

use bus::capability::LeaseTerms;
use bus::pipeline::{Envelope, Policy};
use bus_memory::MemoryOptions;
use tests::harness::{Counts, End, Rig, policy, sleeps, sleeps_unless};
use tests::world::in_virtual_time;

const SECOND: Duration = Duration::from_secs(1);
const LEASE: Duration = Duration::from_secs(10);
/// Leases are extended every third of their length; more calls than this are a racing heart.
const BEATS_PER_LEASE_MAX: usize = 4;

fn leased(extendable: bool, total_max: Option<Duration>) -> MemoryOptions {
    MemoryOptions { lease: LeaseTerms { duration: Some(LEASE), extendable, total_max }, ..MemoryOptions::default() }
}

fn patient(attempt_count_max: u32) -> Policy {
    Policy { handler_timeout: 3_600 * SECOND, attempt_count_max, ..policy() }
}

#[test]
fn a_handler_that_runs_five_leases_long_keeps_its_delivery_and_its_followers() {
    in_virtual_time(async {
        let rig = Rig::on(leased(true, None)).await;
        rig.publish("a", &["long", "f1", "f2"]).await;
        rig.process(rig.pipeline(patient(1), sleeps(&rig, 5 * LEASE))).await;
        let runs = rig.record.runs();
        assert_eq!(rig.record.starts(), [("long".to_owned(), 1), ("f1".to_owned(), 1), ("f2".to_owned(), 1)]);
        assert!(runs.iter().all(|run| run.receive_count == Some(1)), "no lease was lost: {runs:#?}");
        let calls = rig.meddler.call_count("extend");
        let calls_max = (rig.elapsed().as_secs_f64() / LEASE.as_secs_f64()) as usize * BEATS_PER_LEASE_MAX;
        assert!(calls <= calls_max, "{calls} calls");
    });
}

#[test]
fn an_extension_may_fail_once_without_harm() {
    in_virtual_time(async {
        let rig = Rig::on(leased(true, None)).await;
        rig.meddler.fail_extensions("m", 1);
        rig.publish("a", &["m"]).await;
        rig.process(rig.pipeline(patient(1), sleeps(&rig, 3 * LEASE))).await;
        assert_eq!(rig.record.start_count(), 1);
        assert!(rig.dead_letters().await.is_empty());
    });
}

#[test]
fn a_delivery_that_arrives_at_the_end_of_its_lease_is_extended_by_whole_leases() {
    in_virtual_time(async {
        let rig = Rig::on(leased(true, None)).await;
        rig.meddler.slow_receive(LEASE - SECOND / 100);
        rig.publish("a", &["m"]).await;
        rig.process(rig.pipeline(patient(1), sleeps(&rig, 5 * LEASE))).await;
        assert_eq!((rig.record.start_count(), rig.dead_letters().await.len()), (1, 0));
        let calls = rig.meddler.call_count("extend");
        assert!(calls <= 6 * BEATS_PER_LEASE_MAX, "{calls} calls");
    });
}

#[test]
fn a_delivery_that_arrives_at_the_end_of_its_lease_does_not_wait_for_the_heartbeat_of_the_others() {
    for halves in 20..=30 {
        in_virtual_time(async {
            let rig = Rig::on(leased(true, None)).await;
            rig.meddler.slow_receive(LEASE - SECOND / 2);
            rig.publish("a", &["m1"]).await;
            rig.alongside(rig.pipeline(patient(1), sleeps(&rig, 5 * LEASE)), async {
                rig.pass(halves * SECOND / 2).await;
                rig.publish("b", &["m2"]).await;
                rig.emptied().await;
            })
            .await;
            let ended = rig.record.runs_of("m2")[0].ended.clone().expect("it ended").1;
            assert_eq!(ended, End::Answered(Ok(())), "published after {halves} half seconds");
        });
    }
}

#[test]
fn a_handler_whose_lease_is_lost_is_cancelled_and_another_delivery_follows() {
    for is_durable in [false, true] {
        in_virtual_time(async {
            let rig = Rig::on(leased(false, None)).await;
            rig.publish("a", &["m", "after"]).await;
            let mut pipeline = rig.pipeline(patient(3), sleeps_unless(&rig, "after", 5 * LEASE));
            if is_durable {
                pipeline = pipeline.with_attempts(Arc::new(Counts::new(rig.seams.clone())));
            }
            rig.process(pipeline).await;
            let runs = rig.record.runs_of("m");
            assert_eq!(runs.len(), 3, "as many starts as attempts: {runs:#?}");
            for run in &runs {
                let (at, end) = run.ended.clone().expect("it ended");
                let ran_for = at - run.started;
                assert_eq!((end, LEASE <= ran_for && ran_for < LEASE + SECOND / 10), (End::Dropped, true), "{run:?}");
            }
            assert_eq!(rig.dead_letters().await.len(), 1, "then it is dead");
            assert_eq!(rig.record.runs().last().map(|run| run.id.clone()), Some("after".to_owned()));
        });
    }
}

#[test]
fn a_capped_lease_is_handed_back_before_its_end() {
    in_virtual_time(async {
        let cap = 25 * SECOND;
        let rig = Rig::on(leased(true, Some(cap))).await;
        rig.publish("a", &["m"]).await;
        rig.process(rig.pipeline(patient(2), sleeps(&rig, 5 * LEASE))).await;
        let runs = rig.record.runs();
        assert_eq!(runs.len(), 2);
        for run in &runs {
            let (at, end) = run.ended.clone().expect("it ended");
            let ran_for = at - run.started;
            assert_eq!(end, End::Dropped);
            assert!(cap / 2 < ran_for && ran_for < cap, "cancelled after {ran_for:?}");
        }
        let pause = runs[1].started - runs[0].ended.as_ref().expect("it ended").0;
        assert!(SECOND <= pause && pause <= 2 * SECOND + SECOND / 10, "the retry's back-off, not the lease: {pause:?}");
        assert_eq!(rig.meddler.settled().len(), 2, "nack and reject, both in time");
        assert_eq!(rig.dead_letters().await.len(), 1);
    });
}

#[test]
fn a_handler_that_runs_for_a_day_keeps_its_delivery_where_leases_have_no_cap_and_half_of_it_on_sqs() {
    let hour = 3_600 * SECOND;
    let sqs = MemoryOptions::default().lease.total_max;
    assert_eq!(sqs, Some(12 * hour));
    for (total_max, start_count) in [(None, 1), (sqs, 2)] {
        in_virtual_time(async {
            let rig = Rig::on(leased(true, total_max)).await;
            rig.publish("a", &["m"]).await;
            let policy = Policy { handler_timeout: 48 * hour, ..patient(2) };
            let work = sleeps(&rig, 24 * hour);
            rig.alongside(rig.pipeline(policy, work), rig.pass(25 * hour)).await;
            let runs = rig.record.runs_of("m");
            assert_eq!(runs.len(), start_count, "{runs:#?}");
            let (at, end) = runs[0].ended.clone().expect("it ended");
            match total_max {
                None => assert!(matches!(end, End::Answered(Ok(()))) && rig.left_count() == 0, "{runs:#?}"),
                Some(cap) => assert!(end == End::Dropped && cap - LEASE <= at && at < cap, "{runs:#?}"),
            }
        });
    }
}

#[test]
fn all_leases_are_extended_together() {
    in_virtual_time(async {
        let rig = Rig::on(leased(true, None)).await;
        for number in 0..100 {
            rig.publish("", &[&format!("m{number}")]).await;
        }
        let policy = Policy { concurrency_max: 50, ..patient(1) };
        rig.process(rig.pipeline(policy, sleeps(&rig, 5 * LEASE))).await;
        assert!(rig.record.runs().iter().all(|run| run.receive_count == Some(1)), "running or waiting, none is lost");
        let calls = rig.meddler.call_count("extend");
        assert!(calls <= 10 * BEATS_PER_LEASE_MAX, "{calls} calls for a hundred deliveries in ten leases");
    });
}

#[test]
fn a_lease_lost_while_waiting_for_a_handler_is_dropped_unsettled() {
    in_virtual_time(async {
        let rig = Rig::on(leased(true, None)).await;
        rig.meddler.fail_extensions("waits", 3);
        rig.publish("a", &["long"]).await;
        rig.publish("b", &["waits"]).await;
        let policy = Policy { concurrency_max: 1, prefetch_count_max: 2, ..patient(1) };
        rig.process(rig.pipeline(policy, sleeps(&rig, 2 * LEASE))).await;
        let runs = rig.record.runs_of("waits");
        assert_eq!((runs.len(), runs[0].attempt), (1, 1), "{runs:#?}");
        assert!(runs[0].receive_count > Some(1), "it was handed out again: {runs:#?}");
        let settled = rig.meddler.settled();
        assert_eq!(
            settled.iter().filter(|(_, id)| id == "waits").count(),
            1,
            "only the run that happened: {settled:?}"
        );
    });
}

#[test]
fn a_follower_whose_lease_is_lost_is_not_overtaken_by_those_behind_it() {
    in_virtual_time(async {
        let rig = Rig::on(leased(true, None)).await;
        rig.meddler.fail_extensions("f1", 3);
        rig.publish("a", &["long", "f1", "f2", "f3"]).await;
        rig.process(rig.pipeline(patient(1), sleeps_unless(&rig, "f", LEASE + SECOND))).await;
        let starts = rig.record.starts();
        let ids: Vec<&str> = starts.iter().map(|(id, _)| id.as_str()).collect();
        assert_eq!(ids, ["long", "f1", "f2", "f3"]);
    });
}

#[test]
fn a_lease_lost_while_its_start_is_counted_burns_no_attempt() {
    in_virtual_time(async {
        let rig = Rig::on(leased(false, None)).await;
        rig.publish("a", &["m", "after"]).await;
        let counts = Counts::new(rig.seams.clone());
        counts.slow_down(LEASE + SECOND, Duration::ZERO);
        let pipeline = rig.pipeline(patient(1), async |_: Envelope| Ok(())).with_attempts(Arc::new(counts.clone()));
        rig.alongside(pipeline, async {
            rig.pass(3 * LEASE + SECOND).await;
            counts.slow_down(Duration::ZERO, Duration::ZERO);
            rig.emptied().await;
        })
        .await;
        assert_eq!(rig.record.starts(), [("m".to_owned(), 1), ("after".to_owned(), 1)]);
        assert!(rig.dead_letters().await.is_empty());
    });
}

#[test]
fn a_bus_without_leases_is_never_asked_to_extend_one() {
    in_virtual_time(async {
        let lease = LeaseTerms { duration: None, extendable: false, total_max: None };
        let rig = Rig::on(MemoryOptions { lease, ..MemoryOptions::default() }).await;
        rig.publish("a", &["m1", "m2"]).await;
        rig.process(rig.pipeline(patient(1), sleeps(&rig, 60 * SECOND))).await;
        assert_eq!((rig.record.start_count(), rig.meddler.call_count("extend")), (2, 0));
    });
}
