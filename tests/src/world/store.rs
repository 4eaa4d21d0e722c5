//! A store whose calls pass the tripwire.

use std::sync::Arc;

use async_trait::async_trait;
use bus::Result;
use bytes::Bytes;
use services::store::{Batch, Direction, Key, Range, Store, Written};

use super::{Life, Tripwire};

#[derive(Debug)]
pub(super) struct WiredStore {
    pub(super) inner: Arc<dyn Store>,
    pub(super) life: Life,
    pub(super) tripwire: Tripwire,
}

#[async_trait]
impl Store for WiredStore {
    async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
        self.tripwire.call("store get", &self.life, self.inner.get(key)).await
    }

    async fn scan(&self, range: &Range, direction: Direction, limit: usize) -> Result<Vec<(Key, Bytes)>> {
        self.tripwire.call("store scan", &self.life, self.inner.scan(range, direction, limit)).await
    }

    async fn apply(&self, batch: Batch) -> Result<Written> {
        self.tripwire.call("store apply", &self.life, self.inner.apply(batch)).await
    }

    fn trouble(&self) -> Option<String> {
        self.inner.trouble()
    }
}
