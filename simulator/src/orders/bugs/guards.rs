//! Writes without the condition that nothing has changed since the reading, and a long way back from it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bus::{Clock, ClockExt, Result};
use bytes::Bytes;
use services::store::{Batch, Direction, Key, Operation, Range, Store, Table, Written};

/// A store that writes rows of one table as they come.
#[derive(Debug)]
pub(super) struct Unguarded {
    pub(super) inner: Arc<dyn Store>,
    pub(super) table: Table,
}

#[async_trait]
impl Store for Unguarded {
    async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
        self.inner.get(key).await
    }

    async fn scan(&self, range: &Range, direction: Direction, limit: usize) -> Result<Vec<(Key, Bytes)>> {
        self.inner.scan(range, direction, limit).await
    }

    async fn apply(&self, batch: Batch) -> Result<Written> {
        let is_guard =
            |operation: &Operation| matches!(operation, Operation::Expect { .. }) && operation.is_of(self.table);
        self.inner.apply(batch.into_iter().filter(|operation| !is_guard(operation)).collect()).await
    }

    fn trouble(&self) -> Option<String> {
        self.inner.trouble()
    }
}

/// How long the answer to a read is on its way.
const ON_ITS_WAY: Duration = Duration::from_millis(60);

/// A store that is asked over a long line: what it answers of an order may have changed since.
#[derive(Debug)]
pub(super) struct FarAway {
    pub(super) inner: Arc<dyn Store>,
    pub(super) clock: Arc<dyn Clock>,
}

#[async_trait]
impl Store for FarAway {
    async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
        let found = self.inner.get(key).await?;
        if key.is_of(Table::Orders) {
            self.clock.sleep(ON_ITS_WAY).await;
        }
        Ok(found)
    }

    async fn scan(&self, range: &Range, direction: Direction, limit: usize) -> Result<Vec<(Key, Bytes)>> {
        self.inner.scan(range, direction, limit).await
    }

    async fn apply(&self, batch: Batch) -> Result<Written> {
        self.inner.apply(batch).await
    }

    fn trouble(&self) -> Option<String> {
        self.inner.trouble()
    }
}
