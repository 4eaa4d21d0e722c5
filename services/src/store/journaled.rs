//! The durable store: one committer, group commit, on the `journal` crate.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bus::{Error, ErrorKind, Result};
use bytes::Bytes;
use journal::{Commits, Journal, Options};

use super::evaluate::evaluate;
use super::{Batch, Direction, Key, Range, Store, Written};

/// A store in a directory. One process at a time.
#[derive(Debug)]
pub struct JournaledStore {
    journal: Journal,
    trouble: Arc<Mutex<Option<String>>>,
}

impl JournaledStore {
    /// Opens or creates the store; `holder` is what a second process is told.
    ///
    /// # Errors
    /// When the directory is in use (names the holder), unreadable or damaged.
    pub fn open(directory: &Path, holder: &str) -> Result<Self, journal::OpenError> {
        Ok(Self { journal: Journal::open(directory, Options::new(holder))?, trouble: Arc::default() })
    }

    /// Resolves when the disk has failed: what was accepted is safe, nothing more can be. The
    /// process must stop, since nobody knows what the disk has kept of the failed write.
    pub async fn failed(&self) -> Error {
        let error = self.journal.failed().await;
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
        translate(error)
    }

    /// What was synced so far. Answers from memory.
    #[must_use]
    pub fn commits(&self) -> Commits {
        self.journal.commits()
    }

    /// Writes what is queued and gives the directory free. Idempotent.
    ///
    /// # Errors
    /// When the last write failed.
    pub async fn close(&self) -> Result<()> {
        self.journal.close().await.map_err(translate)
    }
}

fn translate(error: journal::Error) -> Error {
    let kind = match error {
        journal::Error::Closed => ErrorKind::Closed,
        journal::Error::TooLarge { .. } => ErrorKind::TooLarge,
        _ => ErrorKind::Unavailable,
    };
    Error::new(kind, "store", "the store on disk did not take it").caused_by(error)
}

#[async_trait]
impl Store for JournaledStore {
    async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
        let value = self.journal.get(key.as_bytes()).await.map_err(translate)?;
        Ok(value.map(Bytes::from))
    }

    async fn scan(&self, range: &Range, direction: Direction, limit: usize) -> Result<Vec<(Key, Bytes)>> {
        let entries = self.journal.scan(range.bounds(), direction, limit).await.map_err(translate)?;
        Ok(entries.into_iter().map(|(key, value)| (Key::from_stored(key), value.into())).collect())
    }

    async fn apply(&self, batch: Batch) -> Result<Written> {
        let change = move |view: &journal::View<'_>| {
            let (changes, written) = evaluate(batch, |key| view.get(key.as_bytes()).map(Bytes::from));
            let mut write = journal::Write::new();
            for (key, value) in changes {
                match value {
                    Some(value) => write.put(key.as_bytes(), value),
                    None => write.delete(key.as_bytes()),
                };
            }
            (write, written)
        };
        self.journal.commit(change).await.map_err(translate)
    }

    fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
