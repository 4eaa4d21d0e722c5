//! Order per key, and parallelism over keys.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bus::capability::Order;
use bus::pipeline::{Envelope, Failure, Handled, Policy};
use bus::{ClockExt, Seams};
use bus_memory::MemoryOptions;
use tests::harness::{Counts, Rig, Run, policy};
use tests::world::in_virtual_time;

const SECOND: Duration = Duration::from_secs(1);

/// A wait of at most 20 ms that seed and message decide.
async fn work_a_while(seams: Seams, envelope: Envelope) -> Handled {
    let bits = seams.entropy.bits("work", &envelope.message_id().to_string());
    seams.clock.sleep(Duration::from_millis((bits % 20) as u64)).await;
    Ok(())
}

/// Runs of each key, in order of start.
fn by_key(runs: Vec<Run>) -> BTreeMap<String, Vec<Run>> {
    let mut keys: BTreeMap<String, Vec<Run>> = BTreeMap::new();
    for run in runs {
        keys.entry(run.key.clone()).or_default().push(run);
    }
    keys
}

#[test]
fn a_thousand_messages_of_16_keys_keep_their_order_8_at_a_time() {
    for seed in 1..=3 {
        in_virtual_time(async {
            let rig = Rig::seeded(MemoryOptions::default(), seed).await;
            rig.meddler.slow_settle(Duration::from_millis(3));
            for number in 0..1_000 {
                rig.publish(&format!("key-{}", number % 16), &[&format!("m{number:04}")]).await;
            }
            let seams = rig.seams.clone();
            let policy = Policy { concurrency_max: 8, ..policy() };
            rig.process(rig.pipeline(policy, move |envelope| work_a_while(seams.clone(), envelope))).await;

            assert_eq!(rig.record.start_count(), 1_000);
            assert_eq!(rig.record.running_count_max(), 8, "as many as allowed, and no more");
            let settled: BTreeMap<String, Duration> =
                rig.meddler.settled().into_iter().map(|(at, name)| (name, at)).collect();
            for (key, runs) in by_key(rig.record.runs()) {
                assert!(runs.is_sorted_by(|one, next| one.id < next.id), "{key}: {runs:#?}");
                for pair in runs.windows(2) {
                    assert!(settled[&pair[0].id] <= pair[1].started, "{key}: {} before {}", pair[1].id, pair[0].id);
                }
            }
        });
    }
}

/// Fails the first two starts of `head`, at once or after a while, and acknowledges everything else.
async fn fail_head_twice(seams: Seams, takes: Duration, envelope: Envelope) -> Handled {
    if !takes.is_zero() {
        seams.clock.sleep(takes).await;
    }
    let fails = envelope.message_id().to_string() == "head" && envelope.attempt() < 3;
    if fails { Err(Failure::Retry("not yet".to_owned())) } else { Ok(()) }
}

#[test]
fn followers_wait_behind_a_retried_head_and_burn_nothing() {
    for takes_ms in [0, 5] {
        for settle_ms in [0, 5] {
            in_virtual_time(async {
                let rig = Rig::new().await;
                rig.meddler.slow_settle(Duration::from_millis(settle_ms));
                rig.publish("a", &["head", "f1"]).await;
                rig.publish("b", &["other"]).await;
                let counts = Counts::new(rig.seams.clone());
                let seams = rig.seams.clone();
                let work = move |envelope| fail_head_twice(seams.clone(), Duration::from_millis(takes_ms), envelope);
                let pipeline = rig.pipeline(policy(), work).with_attempts(Arc::new(counts.clone()));
                rig.alongside(pipeline, async {
                    rig.pass(Duration::from_millis(3)).await;
                    rig.publish("a", &["f2"]).await;
                    rig.pass(SECOND / 2).await;
                    rig.publish("a", &["f3"]).await;
                    rig.emptied().await;
                })
                .await;
                let runs = by_key(rig.record.runs());
                let starts: Vec<_> = runs["a"].iter().map(|run| (run.id.as_str(), run.attempt)).collect();
                assert_eq!(starts, [("head", 1), ("head", 2), ("head", 3), ("f1", 1), ("f2", 1), ("f3", 1)]);
                for run in runs["a"].iter().filter(|run| run.id != "head") {
                    assert_eq!(run.receive_count, Some(1), "{} was given back uncounted", run.id);
                    assert_eq!(counts.of(&run.id), 1);
                }
                assert!(runs["b"][0].started < SECOND, "the other key did not wait");
            });
        }
    }
}

#[test]
fn a_follower_that_was_on_its_way_when_its_head_went_back_does_not_overtake() {
    in_virtual_time(async {
        let rig = Rig::new().await;
        rig.meddler.slow_receive(Duration::from_millis(50));
        let seams = rig.seams.clone();
        let work = move |envelope| fail_head_twice(seams.clone(), Duration::from_millis(20), envelope);
        rig.alongside(rig.pipeline(policy(), work), async {
            rig.publish("a", &["head"]).await;
            rig.pass(Duration::from_millis(60)).await;
            rig.publish("a", &["f1"]).await;
            rig.emptied().await;
        })
        .await;
        let starts = rig.record.starts();
        let ids: Vec<&str> = starts.iter().map(|(id, _)| id.as_str()).collect();
        assert_eq!(ids, ["head", "head", "head", "f1"]);
    });
}

#[test]
fn messages_without_a_key_wait_for_nobody() {
    in_virtual_time(async {
        let rig = Rig::new().await;
        rig.publish("", &["m1", "m2", "m3"]).await;
        let seams = rig.seams.clone();
        let work = move |envelope| fail_head_twice(seams.clone(), SECOND, envelope);
        rig.process(rig.pipeline(policy(), work)).await;
        let starts: BTreeSet<Duration> = rig.record.runs().iter().map(|run| run.started).collect();
        assert_eq!((starts.len(), rig.record.running_count_max()), (1, 3), "all at once");
    });
}

#[test]
fn lanes_keep_order_on_a_bus_that_promises_none_unless_switched_off() {
    for (order_per_key, running_count_max) in [(true, 1), (false, 5)] {
        in_virtual_time(async {
            let rig = Rig::on(MemoryOptions { order: Order::None, ..MemoryOptions::default() }).await;
            rig.publish("a", &["m1", "m2", "m3", "m4", "m5"]).await;
            let seams = rig.seams.clone();
            let policy = Policy { order_per_key, ..policy() };
            rig.process(rig.pipeline(policy, move |envelope| work_a_while(seams.clone(), envelope))).await;
            assert_eq!(rig.record.running_count_max(), running_count_max);
            assert_eq!(rig.record.start_count(), 5);
        });
    }
}

#[test]
fn two_pipelines_on_one_queue_keep_the_order_of_each_key_between_them() {
    in_virtual_time(async {
        let rig = Rig::new().await;
        for number in 0..200 {
            rig.publish(&format!("key-{}", number % 4), &[&format!("m{number:04}")]).await;
        }
        let pipeline = || {
            let seams = rig.seams.clone();
            let policy = Policy { concurrency_max: 2, prefetch_count_max: 4, ..policy() };
            rig.pipeline(policy, move |envelope: Envelope| {
                let seams = seams.clone();
                async move {
                    let fails = envelope.attempt() == 1 && envelope.message_id().to_string().ends_with('7');
                    if fails { Err(Failure::Retry("once".to_owned())) } else { work_a_while(seams, envelope).await }
                }
            })
        };
        rig.alongside(pipeline(), rig.alongside(pipeline(), rig.emptied())).await;
        for (key, runs) in by_key(rig.record.runs()) {
            assert!(runs.is_sorted_by(|one, next| one.id <= next.id), "{key}: {runs:#?}");
            let ends = runs.windows(2).all(|pair| pair[0].ended.as_ref().is_some_and(|(at, _)| *at <= pair[1].started));
            assert!(ends, "{key}: {runs:#?}");
        }
    });
}
