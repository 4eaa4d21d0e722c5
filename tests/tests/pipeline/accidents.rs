//! Handlers that panic or hang.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bus::dead_letter;
use bus::pipeline::{Envelope, Handled, Handler, Policy};
use tests::harness::{End, Rig, policy};
use tests::world::in_virtual_time;

/// When and with what a handler panics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Panic {
    BeforeItsFutureExists,
    BeforeTheFirstAwait,
    AfterAnAwait,
    WithAString,
    WithNoText,
}

/// Panics on every message `bad` and acknowledges the others.
struct Panicking(Panic);

impl Handler for Panicking {
    fn handle<'a, 'b>(&'a self, envelope: Envelope) -> Pin<Box<dyn Future<Output = Handled> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        let (panic, is_bad) = (self.0, envelope.message_id().to_string() == "bad");
        if is_bad && panic == Panic::BeforeItsFutureExists {
            panic!("told to");
        }
        Box::pin(async move {
            match panic {
                _ if !is_bad => {}
                Panic::BeforeItsFutureExists | Panic::BeforeTheFirstAwait => panic!("told to"),
                // Not `panic!`: with all its words known beforehand it carries a `&str` again.
                Panic::WithAString => std::panic::panic_any("told to".to_owned()),
                Panic::WithNoText => std::panic::panic_any(7),
                Panic::AfterAnAwait => {
                    tokio::task::yield_now().await;
                    panic!("told to");
                }
            }
            Ok(())
        })
    }
}

#[test]
fn a_panic_is_a_failed_attempt_and_the_others_go_on() {
    use Panic::{AfterAnAwait, BeforeItsFutureExists, BeforeTheFirstAwait, WithAString, WithNoText};
    for panic in [BeforeItsFutureExists, BeforeTheFirstAwait, AfterAnAwait, WithAString, WithNoText] {
        in_virtual_time(async {
            let rig = Rig::new().await;
            rig.publish("a", &["before", "bad", "after"]).await;
            rig.publish("b", &["other"]).await;
            let policy = Policy { attempt_count_max: 2, ..policy() };
            rig.process(rig.pipeline_of(policy, Arc::new(Panicking(panic)))).await;
            let dead = rig.dead_letters().await;
            let [dead] = &dead[..] else { panic!("{panic:?}: one dead letter, not {dead:?}") };
            assert_eq!(dead.id().to_string(), "bad");
            let reason = dead.headers().text(dead_letter::REASON).expect("a reason");
            let text = if panic == WithNoText { "no message" } else { "told to" };
            assert!(reason.starts_with("attempt 2 of 2") && reason.contains(text), "{panic:?}: {reason}");
        });
    }
}

#[test]
fn a_handler_that_hangs_is_dropped_at_its_timeout_and_that_is_an_attempt() {
    in_virtual_time(async {
        let rig = Rig::new().await;
        rig.publish("a", &["bad"]).await;
        rig.publish("b", &["good"]).await;
        let policy = Policy { attempt_count_max: 2, handler_timeout: Duration::from_secs(7), ..policy() };
        let work = async |envelope: Envelope| match envelope.message_id().to_string().as_str() {
            "bad" => std::future::pending().await,
            _ => Ok(()),
        };
        rig.process(rig.pipeline(policy, work)).await;
        let runs = rig.record.runs_of("bad");
        assert_eq!(runs.len(), 2);
        for run in runs {
            let (at, end) = run.ended.expect("it ended");
            assert_eq!(end, End::Dropped);
            let ran_for = at - run.started;
            let limit = policy.handler_timeout;
            assert!(limit <= ran_for && ran_for < limit + Duration::from_millis(10), "{ran_for:?}");
        }
        assert_eq!(rig.record.runs_of("good")[0].started, Duration::ZERO);
        let dead = rig.dead_letters().await;
        assert_eq!(dead.len(), 1);
        let reason = dead[0].headers().text(dead_letter::REASON).expect("a reason");
        assert!(reason.contains("7s"), "{reason}");
    });
}

#[test]
fn each_handler_has_the_whole_timeout_for_itself() {
    in_virtual_time(async {
        let rig = Rig::new().await;
        let policy = Policy { handler_timeout: Duration::from_secs(7), ..policy() };
        let clock = Arc::clone(&rig.seams.clock);
        let work = move |_| {
            let end = clock.now() + Duration::from_millis(6_900);
            let clock = Arc::clone(&clock);
            async move {
                clock.sleep_until(end).await;
                Ok(())
            }
        };
        rig.alongside(rig.pipeline(policy, work), async {
            for index in 0..20 {
                rig.publish("", &[&format!("m{index}")]).await;
                rig.pass(Duration::from_secs(1)).await;
            }
            rig.emptied().await;
        })
        .await;
        let ends = rig.record.runs().into_iter().map(|run| run.ended.expect("it ended").1);
        assert!(ends.into_iter().all(|end| end == End::Answered(Ok(()))));
        assert_eq!(rig.record.start_count(), 20);
    });
}

/// Counts its drops, and panics in each.
struct PanicsWhenDropped;

impl Drop for PanicsWhenDropped {
    fn drop(&mut self) {
        panic!("told to");
    }
}

/// Hangs on every message `bad` with something that panics when dropped.
struct HangsBadly;

#[async_trait]
impl Handler for HangsBadly {
    async fn handle(&self, envelope: Envelope) -> Handled {
        if envelope.message_id().to_string() == "bad" {
            let _panics = PanicsWhenDropped;
            std::future::pending::<()>().await;
        }
        Ok(())
    }
}

#[test]
fn a_panic_while_a_cancelled_handler_is_dropped_is_caught_too() {
    in_virtual_time(async {
        let rig = Rig::new().await;
        rig.publish("a", &["bad", "after"]).await;
        let policy = Policy { attempt_count_max: 2, handler_timeout: Duration::from_secs(1), ..policy() };
        rig.process(rig.pipeline_of(policy, Arc::new(HangsBadly))).await;
        let dead = rig.dead_letters().await;
        assert_eq!(dead.len(), 1);
    });
}
