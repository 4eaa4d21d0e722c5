//! Messages that are not written with what causes them.

use std::sync::Arc;

use async_trait::async_trait;
use bus::Result;
use bytes::Bytes;
use services::store::{Batch, Direction, Key, MemoryStore, Operation, Range, Store, Table, Written};

/// Where messages wait, and when they are put there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Apart {
    /// In the process, after the write that causes them.
    InMemoryAfter,
    /// In the process, before it.
    InMemoryBefore,
    /// On the disk, in a write of its own after it.
    OnDiskAfter,
}

/// A store that keeps the outbox apart. In memory it is gone with the process.
#[derive(Debug)]
pub(super) struct OutboxStore {
    inner: Arc<dyn Store>,
    apart: Apart,
    memory: MemoryStore,
}

impl OutboxStore {
    pub(super) fn new(inner: Arc<dyn Store>, apart: Apart) -> Self {
        Self { inner, apart, memory: MemoryStore::new() }
    }

    fn outbox(&self) -> &dyn Store {
        match self.apart {
            Apart::InMemoryAfter | Apart::InMemoryBefore => &self.memory,
            Apart::OnDiskAfter => self.inner.as_ref(),
        }
    }
}

#[async_trait]
impl Store for OutboxStore {
    async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
        if key.is_of(Table::Outbox) { self.outbox().get(key).await } else { self.inner.get(key).await }
    }

    async fn scan(&self, range: &Range, direction: Direction, limit: usize) -> Result<Vec<(Key, Bytes)>> {
        let store = if range.is_of(Table::Outbox) { self.outbox() } else { self.inner.as_ref() };
        store.scan(range, direction, limit).await
    }

    async fn apply(&self, batch: Batch) -> Result<Written> {
        let (messages, cause): (Vec<Operation>, Vec<Operation>) =
            batch.into_iter().partition(|operation| operation.is_of(Table::Outbox));
        let (messages, cause) = (Batch::from_iter(messages), Batch::from_iter(cause));
        if messages.is_empty() {
            return self.inner.apply(cause).await;
        }
        if cause.is_empty() {
            return self.outbox().apply(messages).await;
        }
        let is_before = self.apart == Apart::InMemoryBefore;
        if is_before {
            let _ = self.outbox().apply(messages.clone()).await?;
        }
        let written = self.inner.apply(cause).await?;
        if !is_before && matches!(written, Written::Applied(_)) {
            let _ = self.outbox().apply(messages).await?;
        }
        Ok(written)
    }

    fn trouble(&self) -> Option<String> {
        self.inner.trouble()
    }
}
