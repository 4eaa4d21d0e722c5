//! Answers of the bus that help nobody, buses that can less, and messages of foreign producers.

use std::time::Duration;

use bus::capability::{LeaseTerms, Order};
use bus::pipeline::{Envelope, Failure, Identity};
use bus::{BusExt, ClockExt, Message, MessageId, MessageKey, Outgoing};
use bus_memory::MemoryOptions;
use tests::harness::{Rig, Settling, policy, sleeps};
use tests::world::in_virtual_time;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_settlement_that_fails_blocks_neither_its_key_nor_the_pipeline() {
    for verdict in [None, Some(Failure::Retry("again".to_owned())), Some(Failure::Reject("bad".to_owned()))] {
        for settling in [Settling::LeaseLost, Settling::Failed] {
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
fn a_foreign_message_is_counted_by_the_id_in_its_body() {
    in_virtual_time(async {
        let rig = Rig::new().await;
        let message = |broker_id: &str| Message::foreign(MessageId::parse(broker_id).expect("an id"), "m a");
        for broker_id in ["b1", "b2"] {
            assert!(rig.bus.publish_one(Outgoing::new(rig.queue.clone(), message(broker_id))).await.is_accepted());
        }
        let counts = tests::harness::Counts::new(rig.seams.clone());
        let done = counts.clone();
        let work = move |envelope: Envelope| {
            done.finish(&envelope.message_id().to_string());
            async { Ok(()) }
        };
        let pipeline = rig.pipeline(policy(), work).identify_with(named_by_its_body);
        rig.process(pipeline.with_attempts(std::sync::Arc::new(counts))).await;
        assert_eq!(rig.record.starts(), [("m".to_owned(), 1)], "the copy under another broker id is the same message");
    });
}

#[test]
fn a_subscription_that_does_not_exist_is_an_error() {
    in_virtual_time(async {
        let mut rig = Rig::new().await;
        rig.queue = bus::Destination::new("undeclared").expect("a legal name");
        let pipeline = rig.pipeline(policy(), sleeps(&rig, SECOND));
        let ended = rig.seams.clock.timeout(SECOND, pipeline.run(tokio_util::sync::CancellationToken::new())).await;
        let error = ended.expect("at once").expect_err("undeclared");
        assert_eq!(error.kind(), bus::ErrorKind::NotFound);
    });
}
