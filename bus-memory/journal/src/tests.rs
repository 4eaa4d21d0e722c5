//! Promises that need a hand on the committer: the sync is held, or broken.

use std::io;
use std::ops::Bound;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, mpsc};
use std::task::Poll;

use tempfile::TempDir;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::store::BeforeSync;
use crate::{Commits, Direction, Error, Journal, Options, View, Write};

/// Holds each sync until told how it shall end.
struct Gate {
    arrivals: UnboundedReceiver<()>,
    outcomes: mpsc::Sender<io::Result<()>>,
}

impl Gate {
    async fn arrival(&mut self) {
        self.arrivals.recv().await.unwrap();
    }

    fn let_pass(&self) {
        self.outcomes.send(Ok(())).unwrap();
    }

    fn break_sync(&self) {
        self.outcomes.send(Err(io::Error::other("the disk is gone"))).unwrap();
    }
}

fn open_gated() -> (TempDir, Journal, Gate) {
    let dir = tempfile::tempdir().unwrap();
    let (arrive, arrivals) = unbounded_channel();
    let (outcomes, outcome) = mpsc::channel();
    let outcome = Mutex::new(outcome);
    let mut options = Options::new("a test");
    options.before_sync = BeforeSync(Some(Arc::new(move || {
        // Nobody holds the gate any more: the test is over, or has let everything pass.
        let _ = arrive.send(());
        outcome.lock().unwrap().recv().unwrap_or(Ok(()))
    })));
    let journal = Journal::open(dir.path(), options).unwrap();
    (dir, journal, Gate { arrivals, outcomes })
}

fn put(key: &'static str, value: &'static str) -> impl FnOnce(&View<'_>) -> (Write, ()) + Send {
    move |_| {
        let mut write = Write::new();
        write.put(key, value);
        (write, ())
    }
}

async fn is_pending<F: Future>(mut future: Pin<&mut F>) -> bool {
    std::future::poll_fn(|context| Poll::Ready(future.as_mut().poll(context).is_pending())).await
}

#[tokio::test]
async fn reads_wait_for_what_a_crash_could_take_back() {
    let (_dir, journal, mut gate) = open_gated();
    let mut commit = pin!(journal.commit(put("key", "value")));
    assert!(is_pending(commit.as_mut()).await);
    gate.arrival().await;

    let all = (Bound::Unbounded, Bound::Unbounded);
    let mut get = pin!(journal.get(b"key"));
    let mut absent = pin!(journal.get(b"absent"));
    let mut scan = pin!(journal.scan(all, Direction::Forward, 10));
    assert!(is_pending(commit.as_mut()).await);
    assert!(is_pending(get.as_mut()).await);
    assert!(is_pending(absent.as_mut()).await);
    assert!(is_pending(scan.as_mut()).await);

    gate.let_pass();
    commit.await.unwrap();
    assert_eq!(get.await.unwrap(), Some(b"value".to_vec()));
    assert_eq!(absent.await.unwrap(), None);
    assert_eq!(scan.await.unwrap(), [(b"key".to_vec(), b"value".to_vec())]);

    let mut settled = pin!(journal.get(b"key"));
    assert!(!is_pending(settled.as_mut()).await, "nothing is on its way, so nothing is waited for");
    drop(gate);
}

#[tokio::test]
async fn an_empty_write_waits_for_what_it_read_in_its_own_group() {
    let (_dir, journal, mut gate) = open_gated();
    // Holding one group makes the next two changes share the following one.
    let mut first = pin!(journal.commit(put("first", "")));
    assert!(is_pending(first.as_mut()).await);
    gate.arrival().await;
    let mut writer = pin!(journal.commit(put("key", "value")));
    assert!(is_pending(writer.as_mut()).await);
    let mut reader = pin!(journal.commit(|view| (Write::new(), view.get(b"key"))));
    assert!(is_pending(reader.as_mut()).await);

    gate.let_pass();
    gate.arrival().await;
    first.await.unwrap();
    assert!(is_pending(writer.as_mut()).await);
    assert!(is_pending(reader.as_mut()).await);

    gate.let_pass();
    writer.await.unwrap();
    assert_eq!(reader.await.unwrap(), Some(b"value".to_vec()), "it saw the change before it");
    assert_eq!(journal.commits(), Commits { change_count: 3, group_count: 2 });
    drop(gate);
}

#[tokio::test]
async fn a_broken_sync_answers_everyone_and_is_final() {
    let (_dir, journal, mut gate) = open_gated();
    let mut failed = pin!(journal.failed());
    assert!(is_pending(failed.as_mut()).await);
    let mut syncing = pin!(journal.commit(put("syncing", "")));
    assert!(is_pending(syncing.as_mut()).await);
    gate.arrival().await;
    let mut queued = pin!(journal.commit(put("queued", "")));
    let mut reading = pin!(journal.get(b"syncing"));
    assert!(is_pending(queued.as_mut()).await);
    assert!(is_pending(reading.as_mut()).await);

    gate.break_sync();
    let mut outcomes = vec![syncing.await.unwrap_err(), queued.await.unwrap_err()];
    outcomes.push(reading.await.unwrap_err());
    outcomes.push(failed.await);
    outcomes.push(journal.failed().await);
    outcomes.push(journal.commit(put("later", "")).await.unwrap_err());
    outcomes.push(journal.commit_later(Write::new()).unwrap_err());
    outcomes.push(journal.get(b"later").await.unwrap_err());
    outcomes.push(journal.close().await.unwrap_err());
    for error in outcomes {
        assert!(matches!(&error, Error::Failed { .. }), "{error:?}");
        assert!(error.to_string().contains("the disk is gone"), "{error}");
    }
}

#[tokio::test]
async fn a_cancelled_commit_is_made_all_the_same() {
    let (_dir, journal, mut gate) = open_gated();
    {
        let mut cancelled = pin!(journal.commit(put("key", "value")));
        assert!(is_pending(cancelled.as_mut()).await);
    }
    gate.arrival().await;
    gate.let_pass();
    assert_eq!(journal.get(b"key").await.unwrap(), Some(b"value".to_vec()));
    drop(gate);
}
