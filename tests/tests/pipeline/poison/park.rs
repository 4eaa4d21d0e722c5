//! Parked: later messages of the key follow into the dead letters, until it goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bus::pipeline::{Envelope, Failure, Isolation, Poison};
use tests::harness::{Counts, Rig, Settling, Work, sleeps};
use tests::world::in_virtual_time;

use super::{Handling, SECOND, both_counts, head, ids, key, pipeline, policy_of, reason, starts_of};

#[test]
fn later_messages_of_a_parked_key_follow_it_into_the_dead_letters_in_order_and_unprocessed() {
    for is_durable in [false, true] {
        in_virtual_time(async {
            let rig = Rig::new().await;
            rig.meddler.slow_settle(SECOND / 100);
            rig.publish("a", &["head", "f1", "f2"]).await;
            rig.publish("b", &["other"]).await;
            let counts = both_counts(&rig)[usize::from(is_durable)].clone();
            let pipeline = pipeline(&rig, Poison::Park, &Handling::failing(), counts.as_ref());
            let status = pipeline.status();
            rig.alongside(pipeline, async {
                rig.emptied().await;
                rig.pass(SECOND).await;
                rig.publish("a", &["f3"]).await;
                rig.publish("b", &["other too"]).await;
                rig.emptied().await;
                let failed = "attempt 3 of 3 failed: no stock";
                assert_eq!(status.isolated(), [head(Isolation::Parked, failed)]);
            })
            .await;
            assert_eq!(starts_of(&rig, "head"), [1, 2, 3]);
            assert_eq!(rig.record.start_count(), 5, "and the two of the other key: {:?}", rig.record.starts());
            let dead = rig.dead_letters().await;
            assert_eq!(ids(&dead), ["head", "f1", "f2", "f3"]);
            assert_eq!(reason(&dead[0]), "attempt 3 of 3 failed: no stock");
            for follower in &dead[1..] {
                let expected = "not processed: it stands behind head, whose attempt 3 of 3 failed: no stock";
                assert_eq!(reason(follower), expected);
            }
            assert!(counts.is_none_or(|counts| counts.of("f1") == 0), "it was not started");
        });
    }
}

#[test]
fn a_parked_key_goes_on_when_its_first_message_is_replayed_and_succeeds() {
    for is_durable in [false, true] {
        in_virtual_time(async {
            let rig = Rig::new().await;
            rig.publish("a", &["head", "f1"]).await;
            let counts = both_counts(&rig)[usize::from(is_durable)].clone();
            let handling = Handling::failing();
            let pipeline = pipeline(&rig, Poison::Park, &handling, counts.as_ref());
            let status = pipeline.status();
            rig.alongside(pipeline, async {
                rig.emptied().await;
                // Still broken: it dies again, after as many attempts, and those behind it follow again.
                rig.publish("a", &["head", "f1"]).await;
                rig.emptied().await;
                assert_eq!(starts_of(&rig, "head"), [1, 2, 3, 1, 2, 3]);
                assert_eq!((status.isolated().len(), starts_of(&rig, "f1").len()), (1, 0));
                handling.mend();
                rig.publish("a", &["head", "f1", "f2"]).await;
                rig.emptied().await;
                assert_eq!(status.isolated(), []);
            })
            .await;
            let starts = rig.record.starts();
            let last: Vec<_> = starts[6..].iter().map(|(id, attempt)| (id.as_str(), *attempt)).collect();
            assert_eq!(last, [("head", 1), ("f1", 1), ("f2", 1)]);
            assert_eq!(ids(&rig.dead_letters().await), ["head", "f1", "head", "f1"]);
        });
    }
}

#[test]
fn a_parked_key_goes_on_when_its_first_message_is_rejected_or_found_done_or_by_hand() {
    enum Way {
        Rejected,
        Done,
        ByHand,
    }
    for way in [Way::Rejected, Way::Done, Way::ByHand] {
        in_virtual_time(async {
            let rig = Rig::new().await;
            rig.publish("a", &["head", "f1"]).await;
            let counts = Counts::new(rig.seams.clone());
            let is_hopeless = Arc::new(AtomicBool::new(false));
            let hopeless = Arc::clone(&is_hopeless);
            let work = move |envelope: Envelope| -> Work {
                let is_head = envelope.message_id().to_string() == "head";
                let is_hopeless = hopeless.load(Ordering::Relaxed);
                Box::pin(async move {
                    match (is_head, is_hopeless) {
                        (false, _) => Ok(()),
                        (true, false) => Err(Failure::Retry("no stock".to_owned())),
                        (true, true) => Err(Failure::Reject("no such product".to_owned())),
                    }
                })
            };
            let pipeline = rig.pipeline(policy_of(Poison::Park), work).with_attempts(Arc::new(counts.clone()));
            let (control, status) = (pipeline.control(), pipeline.status());
            rig.alongside(pipeline, async {
                rig.emptied().await;
                assert_eq!((status.isolated().len(), control.unpark(&key("b"))), (1, false));
                match way {
                    Way::Rejected => is_hopeless.store(true, Ordering::Relaxed),
                    Way::Done => counts.finish("head"),
                    Way::ByHand => assert!(control.unpark(&key("a")) && !control.unpark(&key("a"))),
                }
                if !matches!(way, Way::ByHand) {
                    rig.publish("a", &["head"]).await;
                }
                rig.publish("a", &["f1"]).await;
                rig.emptied().await;
                assert_eq!((status.isolated(), starts_of(&rig, "f1")), (vec![], vec![1]));
            })
            .await;
        });
    }
}

#[test]
fn later_messages_of_a_parked_key_are_not_processed_even_when_the_bus_fails_to_take_the_first() {
    for settling in [Settling::Failed, Settling::LeaseLost] {
        in_virtual_time(async {
            let rig = Rig::new().await;
            rig.publish("a", &["head", "f1"]).await;
            let handling = Handling::failing();
            rig.alongside(pipeline(&rig, Poison::Park, &handling, None), async {
                rig.until("two attempts are over", || rig.record.start_count() == 2).await;
                rig.meddler.settle("head", settling);
                rig.emptied().await;
                assert_eq!((starts_of(&rig, "head"), starts_of(&rig, "f1")), (vec![1, 2, 3], vec![]), "{settling:?}");
                let dead = ids(&rig.dead_letters().await);
                handling.mend();
                match settling {
                    Settling::Failed => assert_eq!(dead, ["head", "f1"], "its key waited until its lease had ended"),
                    Settling::LeaseLost => {
                        assert_eq!(dead, ["f1", "head"], "a bus that has taken it away hands out the next");
                        // So a replay in the order of the dead letters takes two rounds, and ends in order.
                        rig.publish("a", &["f1", "head"]).await;
                        rig.emptied().await;
                    }
                }
                let again: &[&str] = if matches!(settling, Settling::Failed) { &["head", "f1"] } else { &["f1"] };
                rig.publish("a", again).await;
                rig.emptied().await;
            })
            .await;
            let starts = rig.record.starts();
            assert_eq!(starts[3..], [("head".to_owned(), 1), ("f1".to_owned(), 1)], "{settling:?}");
        });
    }
}

#[test]
fn a_message_that_ends_the_process_each_time_parks_its_key() {
    in_virtual_time(async {
        let rig = Rig::new().await;
        rig.publish("a", &["head", "f1"]).await;
        let counts = Counts::new(rig.seams.clone());
        let pipeline = || {
            let pipeline = rig.pipeline(policy_of(Poison::Park), sleeps(&rig, 5 * SECOND));
            pipeline.with_attempts(Arc::new(counts.clone()))
        };
        for _ in 0..3 {
            rig.alongside(pipeline(), rig.pass(SECOND)).await;
        }
        rig.process(pipeline()).await;
        assert_eq!(rig.record.start_count(), 3);
        let dead = rig.dead_letters().await;
        assert_eq!(ids(&dead), ["head", "f1"]);
        assert!(reason(&dead[1]).contains("behind head, whose started 3 times"), "{}", reason(&dead[1]));
    });
}
