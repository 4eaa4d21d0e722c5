//! Starts of handlers counted in the process: gone with it, as in a map of a consumer's own.

use std::sync::Arc;

use async_trait::async_trait;
use bus::Result;
use bytes::Bytes;
use services::store::{Batch, Direction, Key, MemoryStore, Operation, Range, Store, Table, Written};

use super::super::commits::is_count;

/// A store that keeps the rows of the inbox in memory until their messages are done.
#[derive(Debug)]
pub(super) struct CountsApart {
    inner: Arc<dyn Store>,
    memory: MemoryStore,
}

impl CountsApart {
    pub(super) fn new(inner: Arc<dyn Store>) -> Self {
        Self { inner, memory: MemoryStore::new() }
    }
}

#[async_trait]
impl Store for CountsApart {
    async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
        match self.inner.get(key).await? {
            None if key.is_of(Table::Inbox) => self.memory.get(key).await,
            found => Ok(found),
        }
    }

    async fn scan(&self, range: &Range, direction: Direction, limit: usize) -> Result<Vec<(Key, Bytes)>> {
        self.inner.scan(range, direction, limit).await
    }

    async fn apply(&self, batch: Batch) -> Result<Written> {
        if is_count(&batch) {
            return self.memory.apply(batch).await;
        }
        // On the disk there is no row of it yet.
        let as_it_is = |operation| match operation {
            Operation::Expect { key, .. } if key.is_of(Table::Inbox) => Operation::Expect { key, value: None },
            other => other,
        };
        self.inner.apply(batch.into_iter().map(as_it_is).collect()).await
    }

    fn trouble(&self) -> Option<String> {
        self.inner.trouble()
    }
}
