//! Messages that fail their last attempt: skipped, parked with their key, or tried for ever.

mod park;
mod stop;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bus::capability::Order;
use bus::pipeline::{Envelope, Failure, Isolated, Isolation, Pipeline, Poison, Policy};
use bus::{ClockExt, ErrorKind, Message, MessageKey, dead_letter};
use bus_memory::MemoryOptions;
use tests::harness::{Counts, Rig, Work, policy};
use tests::world::in_virtual_time;
use tokio_util::sync::CancellationToken;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);
const POLICIES: [Poison; 3] = [Poison::Skip, Poison::Park, Poison::Stop];

fn policy_of(poison: Poison) -> Policy {
    Policy { poison, attempt_count_max: 3, ..policy() }
}

/// What the handler answers to messages `head`, while it is broken.
#[derive(Clone)]
struct Handling {
    is_broken: Arc<AtomicBool>,
    answer: Failure,
}

impl Handling {
    fn broken(answer: Failure) -> Self {
        Self { is_broken: Arc::new(AtomicBool::new(true)), answer }
    }

    fn failing() -> Self {
        Self::broken(Failure::Retry("no stock".to_owned()))
    }

    fn mend(&self) {
        self.is_broken.store(false, Ordering::Relaxed);
    }

    fn work(&self) -> impl Fn(Envelope) -> Work + Send + Sync + use<> {
        let handling = self.clone();
        move |envelope| {
            let is_head = envelope.message_id().to_string() == "head";
            let fails = is_head && handling.is_broken.load(Ordering::Relaxed);
            let answer = if fails { Err(handling.answer.clone()) } else { Ok(()) };
            Box::pin(std::future::ready(answer))
        }
    }
}

/// A pipeline with counts that are durable, or not.
fn pipeline(rig: &Rig, poison: Poison, handling: &Handling, counts: Option<&Counts>) -> Pipeline {
    let pipeline = rig.pipeline(policy_of(poison), handling.work());
    match counts {
        Some(counts) => pipeline.with_attempts(Arc::new(counts.clone())),
        None => pipeline,
    }
}

fn both_counts(rig: &Rig) -> [Option<Counts>; 2] {
    [None, Some(Counts::new(rig.seams.clone()))]
}

fn ids(messages: &[Message]) -> Vec<String> {
    messages.iter().map(|message| message.id().to_string()).collect()
}

fn reason(message: &Message) -> &str {
    message.headers().text(dead_letter::REASON).expect("a reason")
}

fn key(name: &str) -> MessageKey {
    MessageKey::new(name).expect("a legal key")
}

fn head(isolation: Isolation, reason: &str) -> Isolated {
    let message_id = bus::MessageId::parse("head").expect("a legal id");
    Isolated { isolation, message_id, key: Some(key("a")), reason: reason.to_owned() }
}

fn starts_of(rig: &Rig, id: &str) -> Vec<u32> {
    rig.record.runs_of(id).iter().map(|run| run.attempt).collect()
}

#[test]
fn a_message_that_its_handler_rejects_is_dead_and_its_key_goes_on_under_every_policy() {
    for poison in POLICIES {
        in_virtual_time(async {
            let rig = Rig::new().await;
            rig.publish("a", &["head", "f1"]).await;
            let pipeline = pipeline(&rig, poison, &Handling::broken(Failure::Reject("bad".to_owned())), None);
            let status = pipeline.status();
            rig.process(pipeline).await;
            assert_eq!(rig.record.starts(), [("head".to_owned(), 1), ("f1".to_owned(), 1)], "{poison:?}");
            assert_eq!((ids(&rig.dead_letters().await), status.isolated()), (vec!["head".to_owned()], vec![]));
        });
    }
}

#[test]
fn a_skipped_message_is_dead_and_its_key_goes_on() {
    in_virtual_time(async {
        let rig = Rig::new().await;
        rig.publish("a", &["head", "f1"]).await;
        let pipeline = rig.pipeline(Policy { attempt_count_max: 3, ..policy() }, Handling::failing().work());
        let status = pipeline.status();
        rig.process(pipeline).await;
        assert_eq!((starts_of(&rig, "head"), starts_of(&rig, "f1")), (vec![1, 2, 3], vec![1]));
        assert_eq!((ids(&rig.dead_letters().await), status.isolated()), (vec!["head".to_owned()], vec![]));
    });
}

#[test]
fn without_order_per_key_a_policy_concerns_the_message_alone() {
    let whole = MemoryOptions::default;
    let setups =
        [("a", true, MemoryOptions { order: Order::None, ..whole() }), ("a", false, whole()), ("", true, whole())];
    for (name, order_per_key, options) in setups {
        for poison in [Poison::Park, Poison::Stop] {
            in_virtual_time(async {
                let what = format!("{poison:?} of key {name:?}, lanes {order_per_key}, {:?}", options.order);
                let rig = Rig::on(options.clone()).await;
                rig.publish(name, &["head", "f1"]).await;
                let policy = Policy { order_per_key, ..policy_of(poison) };
                let pipeline = rig.pipeline(policy, Handling::failing().work());
                let status = pipeline.status();
                rig.alongside(pipeline, async {
                    rig.pass(HOUR / 2).await;
                    rig.publish(name, &["f2"]).await;
                    rig.pass(HOUR / 2).await;
                })
                .await;
                assert_eq!((starts_of(&rig, "f1"), starts_of(&rig, "f2")), (vec![1], vec![1]), "{what}");
                let (dead, isolated) = (ids(&rig.dead_letters().await), status.isolated());
                if poison == Poison::Park {
                    assert_eq!((starts_of(&rig, "head"), dead), (vec![1, 2, 3], vec!["head".to_owned()]), "{what}");
                    assert_eq!(isolated, [], "{what}");
                } else {
                    assert!(starts_of(&rig, "head").len() > 100 && dead.is_empty(), "{what}");
                    let expected = (1, Isolation::Stopped, Some(name).filter(|name| !name.is_empty()).map(key));
                    assert_eq!((isolated.len(), isolated[0].isolation, isolated[0].key.clone()), expected, "{what}");
                }
            });
        }
    }
}

#[test]
fn a_bus_that_lacks_what_a_policy_needs_is_refused_at_the_start() {
    let graveless = MemoryOptions { dead_letters: false, ..MemoryOptions::default() };
    let hasty = MemoryOptions { nack_delay_max: None, ..MemoryOptions::default() };
    for (poison, options) in [(Poison::Park, graveless), (Poison::Stop, hasty)] {
        in_virtual_time(async {
            let rig = Rig::on(options.clone()).await;
            let running = pipeline(&rig, poison, &Handling::failing(), None).run(CancellationToken::new());
            let ended = rig.seams.clock.timeout(SECOND, running).await.expect("at once");
            assert_eq!(ended.expect_err("refused").kind(), ErrorKind::Unsupported, "{poison:?}");
            assert_eq!(rig.meddler.call_count("subscribe"), 0);
        });
    }
}
