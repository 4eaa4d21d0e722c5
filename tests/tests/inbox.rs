//! The inbox: seen, effect and outgoing messages are one write, and happen once per message id.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bus::inbox::{IdempotentReceiver, UnitHandler, UnitOfWork};
use bus::outbox::Outbox;
use bus::pipeline::{Envelope, Failure, Handled, Handler, Policy};
use bus::{ErrorKind, Outgoing};
use services::store::{Batch, Key, Mailbox, Store, Table};
use tests::harness::{Fault, FlakyStore, Rig, message, policy};
use tests::world::in_virtual_time;

const SECOND: Duration = Duration::from_secs(1);

/// What a handler of this test does when it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    /// It fills its unit.
    Plain,
    /// Before it ends, somebody else changes what it read, in its first so many runs.
    Outrun(usize),
    /// It fills its unit and then fails, in its first run.
    FailsFirst,
}

/// Counts what it did and what was committed, and describes one entry and one message per run.
#[derive(Clone)]
struct Work {
    store: Arc<FlakyStore>,
    manner: Manner,
    run_count: Arc<AtomicUsize>,
    committed_count: Arc<AtomicUsize>,
}

fn balance() -> Key {
    Table::Totals.key("balance")
}

async fn read(store: &FlakyStore) -> (Option<bytes::Bytes>, u64) {
    let stored = store.get(&balance()).await.expect("reads do not fail here");
    let number = stored.as_ref().map_or(0, |bytes| String::from_utf8_lossy(bytes).parse().expect("a number of ours"));
    (stored, number)
}

#[async_trait]
impl UnitHandler<Batch> for Work {
    async fn handle(&self, envelope: &Envelope, unit: &mut UnitOfWork<Batch>) -> Handled {
        let run = self.run_count.fetch_add(1, Ordering::Relaxed) + 1;
        let (stored, number) = read(&self.store).await;
        let effects = Batch::new().expect(balance(), stored).put(balance(), (number + 1).to_string());
        unit.effects = effects;
        let id = format!("caused by {}", envelope.message_id());
        unit.send(Outgoing::new(envelope.subscription().destination().clone(), message(&id, "out")));
        let committed_count = Arc::clone(&self.committed_count);
        unit.after_commit(move || {
            committed_count.fetch_add(1, Ordering::Relaxed);
        });
        match self.manner {
            Manner::Outrun(run_count) if run <= run_count => {
                let other = Batch::new().put(balance(), (number + 100).to_string());
                let _ = self.store.apply(other).await.expect("the other's write succeeds");
                Ok(())
            }
            Manner::FailsFirst if run == 1 => Err(Failure::Retry("not yet".to_owned())),
            Manner::Plain | Manner::FailsFirst | Manner::Outrun(_) => Ok(()),
        }
    }
}

/// A rig whose handler commits to a mailbox.
struct Desk {
    rig: Rig,
    mailbox: Arc<Mailbox>,
    work: Work,
}

/// What is left of a run.
#[derive(Debug, PartialEq, Eq)]
struct Books {
    run_count: usize,
    committed_count: usize,
    balance: u64,
    outgoing: Vec<String>,
    dead_count: usize,
}

impl Desk {
    async fn new(manner: Manner) -> Self {
        let rig = Rig::new().await;
        let store = FlakyStore::new();
        let mailbox = Arc::new(Mailbox::new(Arc::clone(&store) as Arc<dyn Store>, rig.seams.clone()));
        let work = Work { store, manner, run_count: Arc::default(), committed_count: Arc::default() };
        Self { rig, mailbox, work }
    }

    /// Processes what is on the queue; `is_counted` with the mailbox's attempts.
    async fn process(&self, policy: Policy, is_counted: bool) {
        let handler: Arc<dyn Handler> = Arc::new(IdempotentReceiver::new(Arc::clone(&self.mailbox), self.work.clone()));
        let pipeline = self.rig.pipeline_of(policy, handler);
        let pipeline = if is_counted { pipeline.with_attempts(Arc::clone(&self.mailbox) as _) } else { pipeline };
        self.rig.process(pipeline).await;
    }

    async fn books(&self) -> Books {
        let rows = self.mailbox.pending(0, usize::MAX).await.expect("the store is up");
        Books {
            run_count: self.work.run_count.load(Ordering::Relaxed),
            committed_count: self.work.committed_count.load(Ordering::Relaxed),
            balance: read(&self.work.store).await.1,
            outgoing: rows.iter().map(|row| row.outgoing.message().id().to_string()).collect(),
            dead_count: self.rig.dead_letters().await.len(),
        }
    }
}

fn books(run_count: usize, committed_count: usize, balance: u64, outgoing: &[&str], dead_count: usize) -> Books {
    let outgoing = outgoing.iter().map(|id| format!("caused by {id}")).collect();
    Books { run_count, committed_count, balance, outgoing, dead_count }
}

#[test]
fn a_message_that_comes_twice_has_its_effect_once() {
    // Uncounted, the duplicate's handler runs and its commit is refused; counted, it does not run.
    for (is_counted, run_count) in [(false, 3), (true, 2)] {
        in_virtual_time(async {
            let desk = Desk::new(Manner::Plain).await;
            desk.rig.publish("a", &["m", "n", "m"]).await;
            desk.process(policy(), is_counted).await;
            assert_eq!(desk.books().await, books(run_count, 2, 2, &["m", "n"], 0), "counted {is_counted}");
        });
    }
}

#[test]
fn a_message_that_two_consumers_handle_has_its_effect_once() {
    in_virtual_time(async {
        let desk = Desk::new(Manner::Plain).await;
        let receiver = IdempotentReceiver::new(Arc::clone(&desk.mailbox), desk.work.clone());
        let envelope = || {
            let subscription = Arc::new(desk.rig.subscription());
            let message = message("m", "a");
            Envelope::new(message.clone(), message.id().clone(), subscription, 1, None)
        };
        let both = futures_util::future::join(receiver.handle(envelope()), receiver.handle(envelope())).await;
        assert_eq!(both, (Ok(()), Ok(())));
        let found = desk.books().await;
        assert_eq!((found.committed_count, found.balance, found.outgoing.len()), (1, 1, 1), "{found:?}");
    });
}

#[test]
fn a_write_that_was_outrun_is_described_anew() {
    in_virtual_time(async {
        let desk = Desk::new(Manner::Outrun(2)).await;
        desk.rig.publish("a", &["m"]).await;
        desk.process(Policy { attempt_count_max: 1, ..policy() }, true).await;
        assert_eq!(desk.books().await, books(3, 1, 201, &["m"], 0), "on what the other wrote, in one attempt");
    });
}

#[test]
fn a_write_that_is_outrun_for_ever_fails_its_attempt() {
    in_virtual_time(async {
        let desk = Desk::new(Manner::Outrun(usize::MAX)).await;
        desk.rig.publish("a", &["m"]).await;
        desk.process(Policy { attempt_count_max: 2, ..policy() }, true).await;
        assert_eq!(desk.books().await, books(64, 0, 6_400, &[], 1), "two attempts of 32 runs, nothing of its own");
    });
}

#[test]
fn a_handler_that_fails_leaves_nothing_behind() {
    in_virtual_time(async {
        let desk = Desk::new(Manner::FailsFirst).await;
        desk.rig.publish("a", &["m"]).await;
        desk.process(policy(), true).await;
        assert_eq!(desk.books().await, books(2, 1, 1, &["m"], 0));
    });
}

#[test]
fn a_store_that_does_not_answer_is_unavailable_and_anything_else_is_an_attempt() {
    let check = |fault: Fault, is_attempt: bool| {
        in_virtual_time(async {
            let desk = Desk::new(Manner::Plain).await;
            desk.work.store.fail_write(fault);
            desk.rig.publish("a", &["m"]).await;
            // With one attempt allowed, a burned one ends in the dead letters.
            desk.process(Policy { attempt_count_max: 1, ..policy() }, false).await;
            let expected = match (is_attempt, fault) {
                (true, _) => books(1, 0, 0, &[], 1),
                (false, Fault::Refused(_)) => books(2, 1, 1, &["m"], 0),
                // It was committed, so it must not happen again; only its log line is lost.
                (false, Fault::AnswerLost(_)) => books(2, 0, 1, &["m"], 0),
            };
            assert_eq!(desk.books().await, expected, "{fault:?}");
        });
    };
    for kind in [ErrorKind::Unavailable, ErrorKind::Timeout, ErrorKind::Throttled, ErrorKind::Closed] {
        check(Fault::Refused(kind), false);
        check(Fault::AnswerLost(kind), false);
    }
    for kind in [ErrorKind::Unexpected, ErrorKind::TooLarge, ErrorKind::Invalid] {
        check(Fault::Refused(kind), true);
    }
}

#[test]
fn a_commit_whose_answer_was_lost_is_found_done() {
    in_virtual_time(async {
        let desk = Desk::new(Manner::Plain).await;
        // The first write counts the start, the second is the commit.
        desk.work.store.fail_write(Fault::AnswerLost(ErrorKind::Timeout));
        desk.work.store.fail_write(Fault::AnswerLost(ErrorKind::Timeout));
        desk.rig.publish("a", &["m"]).await;
        desk.process(policy(), true).await;
        let found = desk.books().await;
        assert_eq!((found.balance, found.outgoing.len(), found.dead_count), (1, 1, 0), "{found:?}");
        assert!(desk.rig.elapsed() < 60 * SECOND);
    });
}
