//! Stopped: the key stands still, and its message is tried for ever.

use std::sync::Arc;

use bus::pipeline::{Envelope, Failure, Isolation, Poison};
use tests::harness::{Counts, Rig, Work, policy, sleeps};
use tests::world::in_virtual_time;

use super::{HOUR, Handling, SECOND, both_counts, head, key, pipeline, policy_of, starts_of};

#[test]
fn a_stopped_key_stands_still_until_its_message_succeeds_and_others_pass() {
    for is_durable in [false, true] {
        in_virtual_time(async {
            let rig = Rig::new().await;
            rig.publish("a", &["head", "f1"]).await;
            let counts = both_counts(&rig)[usize::from(is_durable)].clone();
            let handling = Handling::failing();
            let pipeline = pipeline(&rig, Poison::Stop, &handling, counts.as_ref());
            let (control, status) = (pipeline.control(), pipeline.status());
            rig.alongside(pipeline, async {
                for number in 0..60 {
                    rig.publish("b", &[&format!("other-{number}")]).await;
                    rig.pass(60 * SECOND).await;
                    assert_eq!(rig.left_count(), 2, "the others have passed");
                }
                assert_eq!(status.isolated(), [head(Isolation::Stopped, "attempt 3 of 3 failed: no stock")]);
                assert!(!control.unpark(&key("a")), "it is not parked");
                assert!(counts.is_none_or(|counts| counts.of("head") == 3), "its count does not grow");
                handling.mend();
                rig.emptied().await;
                assert_eq!(status.isolated(), []);
            })
            .await;
            let attempts = starts_of(&rig, "head");
            assert_eq!(attempts[..3], [1, 2, 3]);
            assert!(attempts[3..].iter().all(|attempt| *attempt == 3), "{attempts:?}");
            let longest = policy().retry.max;
            for gap in rig.record.start_times("head")[2..].windows(2) {
                let waited = gap[1] - gap[0];
                assert!(longest <= waited && waited <= 2 * longest + SECOND / 10, "{waited:?}");
            }
            assert_eq!((starts_of(&rig, "f1"), rig.dead_letters().await.len()), (vec![1], 0));
        });
    }
}

#[test]
fn a_stopped_message_waits_at_least_as_long_as_its_handler_asks() {
    let longest = policy().retry.max;
    for (asked_for, waits_max) in [(SECOND, 2 * longest), (60 * SECOND, 60 * SECOND)] {
        in_virtual_time(async {
            let rig = Rig::new().await;
            rig.publish("a", &["head"]).await;
            let handling = Handling::broken(Failure::RetryAfter(asked_for, "later".to_owned()));
            rig.alongside(pipeline(&rig, Poison::Stop, &handling, None), rig.pass(HOUR)).await;
            for gap in rig.record.start_times("head")[2..].windows(2) {
                let waited = gap[1] - gap[0];
                assert!(asked_for.max(longest) <= waited && waited <= waits_max + SECOND / 10, "{waited:?}");
            }
        });
    }
}

#[test]
fn an_outage_met_by_a_stopped_message_leaves_its_count_alone() {
    in_virtual_time(async {
        let rig = Rig::new().await;
        rig.publish("a", &["head"]).await;
        let counts = Counts::new(rig.seams.clone());
        let record = rig.record.clone();
        let work = move |_: Envelope| -> Work {
            let answer = match record.start_count() {
                1..=3 | 6 => Err(Failure::Retry("no stock".to_owned())),
                4 | 5 => Err(Failure::Unavailable("down".to_owned())),
                _ => Ok(()),
            };
            Box::pin(std::future::ready(answer))
        };
        let pipeline = rig.pipeline(policy_of(Poison::Stop), work).with_attempts(Arc::new(counts));
        rig.process(pipeline).await;
        assert_eq!(starts_of(&rig, "head"), [1, 2, 3, 3, 3, 3, 3]);
    });
}

#[test]
fn a_message_that_ends_the_process_each_time_lets_other_keys_pass_before_it_is_tried_again() {
    in_virtual_time(async {
        let rig = Rig::new().await;
        rig.publish("a", &["head", "f1"]).await;
        let counts = Counts::new(rig.seams.clone());
        let pipeline = || {
            let pipeline = rig.pipeline(policy_of(Poison::Stop), sleeps(&rig, 5 * SECOND));
            pipeline.with_attempts(Arc::new(counts.clone()))
        };
        for _ in 0..3 {
            rig.alongside(pipeline(), rig.pass(SECOND)).await;
        }
        for crash in 0..3 {
            let other = format!("other-{crash}");
            rig.publish("b", &[&other]).await;
            let pipeline = pipeline();
            let status = pipeline.status();
            rig.alongside(pipeline, async {
                rig.pass(6 * SECOND).await;
                assert_eq!((starts_of(&rig, "head").len(), rig.left_count()), (3 + crash, 2), "the other has passed");
                let isolated = status.isolated();
                let said = format!("started {} times without an answer", 3 + crash);
                assert!(isolated[0].reason.starts_with(&said), "{isolated:?}");
                rig.until("it is tried", || starts_of(&rig, "head").len() == 4 + crash).await;
                rig.pass(SECOND).await;
            })
            .await;
            assert_eq!(counts.of("head"), 4 + crash as u32, "a start that was never answered stays counted");
        }
        rig.process(pipeline()).await;
        assert_eq!(starts_of(&rig, "head"), [1, 2, 3, 3, 3, 3, 3]);
        assert_eq!((starts_of(&rig, "f1"), rig.dead_letters().await.len()), (vec![1], 0));
    });
}
