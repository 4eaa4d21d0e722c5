//! Accepted messages on disk: one journal, one row per message and queue.
//!
//! A batch is one write, synced before it is visible; an ack is a delete that is synced with
//! whatever comes next, so a kill can bring an acked message back but never lose an accepted one; a
//! reject deletes and inserts in one write. Nothing else is written: receive counts, leases and
//! nack delays are gone after a restart, when everything unsettled is ready or due.

mod entries;
mod found;
mod record;
mod rows;

use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use bus::{Error, ErrorKind, Result};
use journal::Journal;

pub(crate) use self::entries::{Entries, Row};
use self::found::Found;

/// The open journal of one bus.
#[derive(Debug)]
pub(crate) struct Ledger {
    journal: Journal,
    /// Numbers messages in the order of acceptance, over all queues.
    last_number: AtomicU64,
}

impl Ledger {
    /// Opens the journal and reads what is in it.
    pub(crate) async fn open(dir: &std::path::Path) -> Result<(Self, Found)> {
        let journal = Journal::open(dir, journal::Options::new("bus-memory")).map_err(|error| {
            Error::new(ErrorKind::Unavailable, "open", "the journal could not be opened").caused_by(error)
        })?;
        let found = Found::read(&journal).await.map_err(|error| failure(&error, "open"))?;
        let last_number = AtomicU64::new(found.last_number());
        Ok((Self { journal, last_number }, found))
    }

    pub(crate) fn next_number(&self) -> u64 {
        self.last_number.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Writes and waits until it is on disk. Once polled, the write happens even if the call is
    /// dropped.
    pub(crate) async fn commit(&self, entries: Entries, operation: &'static str) -> Result<()> {
        let write = entries.into_write();
        self.journal.commit(move |_| (write, ())).await.map_err(|error| failure(&error, operation))
    }

    /// Writes soon, in order with everything else.
    pub(crate) fn commit_later(&self, entries: Entries, operation: &'static str) -> Result<()> {
        let write = entries.into_write();
        if write.is_empty() {
            return Ok(());
        }
        self.journal.commit_later(write).map_err(|error| failure(&error, operation))
    }

    /// Why it has failed, if it has.
    pub(crate) fn failure(&self) -> Option<String> {
        match pin!(self.journal.failed()).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(error) => Some(error.to_string()),
            Poll::Pending => None,
        }
    }

    /// Resolves when it has failed.
    pub(crate) async fn failed(&self) -> Error {
        failure(&self.journal.failed().await, "journal")
    }

    pub(crate) async fn close(&self) -> Result<()> {
        self.journal.close().await.map_err(|error| failure(&error, "close"))
    }
}

fn failure(error: &journal::Error, operation: &'static str) -> Error {
    let (kind, text) = match error {
        journal::Error::Closed => (ErrorKind::Closed, "the bus is closed"),
        journal::Error::Failed { .. } => {
            (ErrorKind::Unavailable, "the journal has failed; a restart finds what was accepted")
        }
        _ => (ErrorKind::Unexpected, "the journal did not take the change"),
    };
    Error::new(kind, operation, text).caused_by(error.clone())
}
