//! Answers of the bus that help nobody, buses that can less, and messages of foreign producers.

use std::sync::Arc;
use std::time::Duration;

use bus::capability::{LeaseTerms, Order};
use bus::pipeline::{Envelope, Failure, Identity, PipelineState};
use bus::{BusExt, ClockExt, Message, MessageId, MessageKey, Outgoing};
use bus_memory::MemoryOptions;
use tests::harness::{Counts, Rig, Settling, policy, sleeps};
use tests::world::in_virtual_time;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_settlement_that_fails_blocks_neither_its_key_nor_the_pipeline() {
    let retry = || Some(Failure::Retry("again".to_owned()));
    for verdict in [None, retry(), Some(Failure::Reject("bad".to_owned()))] {
        for settling in [Settling::LeaseLost, Settling::Failed] {
            if verdict == retry() && matches!(settling, Settling::Failed) {
                continue; // It holds up its key.
            }
            in_virtual_time(async {
                let rig = Rig::new().await;
                rig.meddler.settle("m1", settling);
                rig.publish("a", &["m1", "m2"]).await;
                rig.publish("b", &["m3"]).await;
                let first = verdict.clone();
                let record = rig.record.clone();
                let work = move |envelope: Envelope| {
                    let is_first = envelope.message_id().to_string() == "m1" && record.runs_of("m1").len() == 1;
                    let answer = first.clone().filter(|_| is_first);
                    async move { answer.map_or(Ok(()), Err) }
                };
                rig.alongside(rig.pipeline(policy(), work), async {
                    rig.until("the others are done", || rig.record.start_count() >= 3).await;
                    assert!(rig.elapsed() < SECOND, "{verdict:?} {settling:?}: at once, not after a lease");
                    rig.publish("a", &["m4"]).await;
                    rig.emptied().await;
                })
                .await;
                let run_counts = ["m1", "m2", "m3", "m4"].map(|id| rig.record.runs_of(id).len());
                assert_eq!(run_counts, [2, 1, 1, 1], "{verdict:?} {settling:?}: only the first comes again");
            });
        }
    }
}

#[test]
fn what_follows_a_retry_that_was_not_settled_waits_until_its_lease_ends() {
    for extendable in [true, false] {
        for (failure_count, receive_takes) in [(1, Duration::ZERO), (2, Duration::ZERO), (1, 2 * SECOND)] {
            in_virtual_time(async {
                let lease = LeaseTerms { duration: Some(10 * SECOND), extendable, total_max: None };
                let rig = Rig::on(MemoryOptions { lease, ..MemoryOptions::default() }).await;
                rig.meddler.slow_receive(receive_takes);
                for _ in 0..failure_count {
                    rig.meddler.settle("m1", Settling::Failed);
                }
                rig.publish("a", &["m1", "m2"]).await;
                rig.publish("b", &["m4"]).await;
                let work = move |envelope: Envelope| {
                    let fails = envelope.message_id().to_string() == "m1" && envelope.attempt() <= failure_count;
                    async move { if fails { Err(Failure::Retry("again".to_owned())) } else { Ok(()) } }
                };
                rig.alongside(rig.pipeline(policy(), work), async {
                    rig.pass(5 * SECOND).await;
                    rig.publish("a", &["m3"]).await;
                    rig.emptied().await;
                })
                .await;
                let starts = rig.record.starts();
                let of_key: Vec<&str> = starts.iter().map(|(id, _)| id.as_str()).filter(|id| *id != "m4").collect();
                let mut expected = vec!["m1"; failure_count as usize + 1];
                expected.extend(["m2", "m3"]);
                assert_eq!(of_key, expected, "extendable {extendable}, a receive takes {receive_takes:?}");
                assert!(rig.record.start_times("m4")[0] <= receive_takes, "the other key did not wait");
                assert!(rig.elapsed() < 12 * SECOND * (failure_count + 1), "{:?}", rig.elapsed());
            });
        }
    }
}

#[test]
fn what_waits_behind_a_retry_that_was_not_settled_goes_back_at_shutdown() {
    in_virtual_time(async {
        let rig = Rig::new().await;
        rig.meddler.settle("m1", Settling::Failed);
        rig.publish("a", &["m1", "m2"]).await;
        let stop = tokio_util::sync::CancellationToken::new();
        let pipeline = rig.pipeline(policy(), async |_: Envelope| Err(Failure::Retry("again".to_owned())));
        let running = pipeline.run(stop.clone());
        let (ended, ()) = tokio::join!(running, async {
            rig.pass(SECOND).await;
            stop.cancel();
        });
        assert!(ended.is_ok() && rig.elapsed() == SECOND, "{ended:?} after {:?}", rig.elapsed());
        assert_eq!((rig.left_count(), rig.record.starts()), (2, vec![("m1".to_owned(), 1)]));
    });
}

#[test]
fn a_return_that_is_never_answered_stops_nothing_for_ever() {
    for is_durable in [false, true] {
        in_virtual_time(async {
            let rig = Rig::new().await;
            rig.meddler.hang(&["release"]);
            rig.publish("a", &["m1", "m2"]).await;
            let record = rig.record.clone();
            let work = move |_: Envelope| {
                let is_down = record.start_count() == 1;
                async move { if is_down { Err(Failure::Unavailable("down".to_owned())) } else { Ok(()) } }
            };
            let mut pipeline = rig.pipeline(policy(), work);
            if is_durable {
                let counts = Counts::new(rig.seams.clone());
                counts.slow_down(Duration::ZERO, 86_400 * SECOND);
                pipeline = pipeline.with_attempts(Arc::new(counts));
            }
            rig.alongside(pipeline, async {
                rig.until("they are on their way back", || rig.meddler.call_count("release") == 1).await;
                rig.meddler.hang(&[]);
                rig.emptied().await;
            })
            .await;
            let second = if is_durable { 2 } else { 1 };
            let starts = [("m1".to_owned(), 1), ("m1".to_owned(), second), ("m2".to_owned(), 1)];
            assert_eq!(rig.record.starts(), starts);
            assert!(rig.elapsed() < 30 * SECOND, "{:?}", rig.elapsed());
        });
    }
}

#[test]
fn messages_are_processed_on_every_kind_of_bus() {
    let whole = MemoryOptions::default;
    let lease = LeaseTerms { duration: None, extendable: false, total_max: None };
    let buses = [
        MemoryOptions { order: Order::None, ..whole() },
        MemoryOptions { nack_delay_max: None, ..whole() },
        MemoryOptions { receive_count: false, ..whole() },
        MemoryOptions { settle_confirmed: false, ..whole() },
        MemoryOptions { publish_atomic: false, ..whole() },
        MemoryOptions { lease, ..whole() },
    ];
    for options in buses {
        in_virtual_time(async {
            let rig = Rig::on(options.clone()).await;
            rig.publish("a", &["m1", "m2", "m3"]).await;
            rig.publish("", &["m4"]).await;
            let work = async |envelope: Envelope| match envelope.message_id().to_string().as_str() {
                "m1" if envelope.attempt() < 3 => Err(Failure::Retry("again".to_owned())),
                "m3" => Err(Failure::Reject("bad".to_owned())),
                _ => Ok(()),
            };
            rig.process(rig.pipeline(policy(), work)).await;
            let run_counts = ["m1", "m2", "m3", "m4"].map(|id| rig.record.runs_of(id).len());
            assert_eq!((run_counts, rig.dead_letters().await.len()), ([3, 1, 1, 1], 1), "{options:?}");
        });
    }
}

/// The first word of the body is the id, the second the key.
fn named_by_its_body(message: &Message) -> Identity {
    let text = String::from_utf8_lossy(message.body()).into_owned();
    let mut words = text.split_whitespace();
    Identity {
        message_id: words.next().and_then(|word| MessageId::parse(word).ok()),
        key: words.next().and_then(|word| MessageKey::new(word).ok()),
    }
}

#[test]
fn foreign_messages_get_id_and_key_from_their_bodies() {
    in_virtual_time(async {
        let rig = Rig::new().await;
        for (broker_id, body) in [("b1", "m1 a"), ("b2", "m2 a"), ("b3", "m3 b"), ("b4", "m4"), ("b5", "")] {
            let message = Message::foreign(MessageId::parse(broker_id).expect("an id"), body);
            assert!(rig.bus.publish_one(Outgoing::new(rig.queue.clone(), message)).await.is_accepted());
        }
        rig.process(rig.pipeline(policy(), sleeps(&rig, SECOND)).identify_with(named_by_its_body)).await;
        let started = |id: &str| rig.record.start_times(id);
        assert_eq!(
            (started("m1"), started("m3"), started("m4")),
            (vec![Duration::ZERO], vec![Duration::ZERO], vec![Duration::ZERO])
        );
        assert_eq!(started("m2"), [SECOND], "behind m1, whose key it has");
        assert_eq!(started("b5"), [Duration::ZERO], "nothing better than the broker's id was found");
    });
}

#[test]
fn a_message_whose_naming_panics_keeps_its_own_name_and_the_others_go_on() {
    in_virtual_time(async {
        let rig = Rig::new().await;
        rig.publish("a", &["m1", "m2", "m3"]).await;
        let identify = |message: &Message| {
            assert_ne!(message.id().to_string(), "m2", "told to panic");
            Identity::default()
        };
        rig.process(rig.pipeline(policy(), async |_: Envelope| Ok(())).identify_with(identify)).await;
        assert_eq!(rig.record.starts(), ["m1", "m2", "m3"].map(|id| (id.to_owned(), 1)));
    });
}

#[test]
fn a_foreign_message_is_counted_by_the_id_in_its_body() {
    in_virtual_time(async {
        let rig = Rig::new().await;
        let message = |broker_id: &str| Message::foreign(MessageId::parse(broker_id).expect("an id"), "m a");
        for broker_id in ["b1", "b2"] {
            assert!(rig.bus.publish_one(Outgoing::new(rig.queue.clone(), message(broker_id))).await.is_accepted());
        }
        let counts = Counts::new(rig.seams.clone());
        let done = counts.clone();
        let work = move |envelope: Envelope| {
            done.finish(&envelope.message_id().to_string());
            async { Ok(()) }
        };
        let pipeline = rig.pipeline(policy(), work).identify_with(named_by_its_body);
        rig.process(pipeline.with_attempts(Arc::new(counts))).await;
        assert_eq!(rig.record.starts(), [("m".to_owned(), 1)], "the copy under another broker id is the same message");
    });
}

#[test]
fn a_subscription_that_does_not_exist_is_an_error() {
    in_virtual_time(async {
        let mut rig = Rig::new().await;
        rig.queue = bus::Destination::new("undeclared").expect("a legal name");
        let pipeline = rig.pipeline(policy(), sleeps(&rig, SECOND));
        let status = pipeline.status();
        let ended = rig.seams.clock.timeout(SECOND, pipeline.run(tokio_util::sync::CancellationToken::new())).await;
        let error = ended.expect("at once").expect_err("undeclared");
        assert_eq!((error.kind(), status.state()), (bus::ErrorKind::NotFound, PipelineState::Stopped));
    });
}

#[test]
fn a_pipeline_that_was_dropped_does_not_look_as_if_it_ran() {
    in_virtual_time(async {
        let rig = Rig::new().await;
        let pipeline = rig.pipeline(policy(), sleeps(&rig, SECOND));
        let status = pipeline.status();
        let while_it_runs = rig.alongside(pipeline, async {
            rig.pass(SECOND).await;
            status.state()
        });
        assert_eq!(while_it_runs.await, PipelineState::Running);
        assert_eq!(status.state(), PipelineState::Stopped);
    });
}
