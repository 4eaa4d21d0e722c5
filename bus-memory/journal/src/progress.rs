//! How far the committer is: the one thing readers and owners wait for.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::watch;

use crate::error::Error;

/// Counts of groups, shared between the committer and everyone who waits for it.
///
/// The counters answer the common question, "is anything not yet on disk?", without a lock. The
/// channel is for those who have to wait: a `watch` keeps its latest value, so a wake-up cannot be
/// lost between the look and the wait.
#[derive(Debug)]
pub(crate) struct Progress {
    /// Groups handed to sled. Counted *before* sled sees them, so whoever sees one in the
    /// tree finds it counted here.
    begun_count: AtomicU64,
    /// Groups that sled has applied in full.
    applied_count: AtomicU64,
    /// Groups covered by a `sync_data`.
    durable_count: AtomicU64,
    /// Changes in groups that wrote something.
    change_count: AtomicU64,
    phase: watch::Sender<Phase>,
}

/// What a journal has synced since it was opened; both only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Commits {
    /// Changes on disk, with those that wrote nothing themselves but shared a group.
    pub change_count: u64,
    /// Groups they were synced in: one sync each.
    pub group_count: u64,
}

#[derive(Clone, Debug)]
enum Phase {
    Running { durable_count: u64 },
    Failed(Error),
    Closed,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self {
            begun_count: AtomicU64::new(0),
            applied_count: AtomicU64::new(0),
            durable_count: AtomicU64::new(0),
            change_count: AtomicU64::new(0),
            phase: watch::Sender::new(Phase::Running { durable_count: 0 }),
        }
    }

    pub(crate) fn begin_group(&self) {
        self.begun_count.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn end_group(&self) {
        self.applied_count.fetch_add(1, Ordering::SeqCst);
    }

    /// Everything applied so far is on disk; the last group was of so many changes.
    pub(crate) fn all_durable(&self, change_count: u64) {
        self.change_count.fetch_add(change_count, Ordering::Relaxed);
        let durable_count = self.applied_count.load(Ordering::SeqCst);
        self.durable_count.store(durable_count, Ordering::SeqCst);
        self.phase.send_replace(Phase::Running { durable_count });
    }

    /// What was synced since the journal was opened.
    pub(crate) fn commits(&self) -> Commits {
        // Groups first: changes are counted before their group, so none is seen without them.
        let group_count = self.durable_count.load(Ordering::SeqCst);
        Commits { change_count: self.change_count.load(Ordering::Relaxed), group_count }
    }

    /// The first failure stays; a later one is a consequence.
    pub(crate) fn fail(&self, error: Error) {
        self.phase.send_if_modified(|phase| {
            let is_first = matches!(phase, Phase::Running { .. });
            if is_first {
                *phase = Phase::Failed(error);
            }
            is_first
        });
    }

    /// The committer has ended in good order.
    pub(crate) fn close(&self) {
        self.phase.send_if_modified(|phase| {
            let is_running = matches!(phase, Phase::Running { .. });
            if is_running {
                *phase = Phase::Closed;
            }
            is_running
        });
    }

    /// What a call gets whose request the committer no longer takes.
    pub(crate) fn end(&self) -> Error {
        match &*self.phase.borrow() {
            Phase::Failed(error) => error.clone(),
            // A failure is noted before the queue is shut, so this is an orderly end.
            Phase::Running { .. } | Phase::Closed => Error::Closed,
        }
    }

    /// A number that changes whenever the tree does, or `None` while a group is being applied.
    pub(crate) fn still_count(&self) -> Option<u64> {
        let applied_count = self.applied_count.load(Ordering::SeqCst);
        (self.begun_count.load(Ordering::SeqCst) == applied_count).then_some(applied_count)
    }

    /// Waits until every group begun by now is on disk.
    pub(crate) async fn durable(&self) -> Result<(), Error> {
        let begun_count = self.begun_count.load(Ordering::SeqCst);
        if self.durable_count.load(Ordering::SeqCst) >= begun_count {
            return Ok(());
        }
        self.wait(|phase| match phase {
            Phase::Running { durable_count } => (*durable_count >= begun_count).then_some(Ok(())),
            Phase::Failed(error) => Some(Err(error.clone())),
            // Closing syncs first, so what was begun is on disk.
            Phase::Closed => Some(Ok(())),
        })
        .await
    }

    pub(crate) async fn failed(&self) -> Error {
        self.wait(|phase| match phase {
            Phase::Failed(error) => Some(error.clone()),
            Phase::Running { .. } | Phase::Closed => None,
        })
        .await
    }

    /// Waits for the committer's end.
    pub(crate) async fn ended(&self) -> Result<(), Error> {
        self.wait(|phase| match phase {
            Phase::Running { .. } => None,
            Phase::Failed(error) => Some(Err(error.clone())),
            Phase::Closed => Some(Ok(())),
        })
        .await
    }

    async fn wait<T>(&self, mut answer: impl FnMut(&Phase) -> Option<T>) -> T {
        let mut phases = self.phase.subscribe();
        loop {
            if let Some(answer) = answer(&phases.borrow_and_update()) {
                return answer;
            }
            phases.changed().await.expect("self owns the sender");
        }
    }
}
