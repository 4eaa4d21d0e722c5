//! A store that fails, hangs or loses its answers on demand.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use bus::{Error, ErrorKind, Result};
use bytes::Bytes;
use services::store::{Batch, Direction, Key, MemoryStore, Range, Store, Written};

/// What becomes of one write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It fails and writes nothing.
    Refused(ErrorKind),
    /// It writes, and answers an error.
    AnswerLost(ErrorKind),
}

/// A memory store with faults.
#[derive(Debug, Default)]
pub struct FlakyStore {
    inner: MemoryStore,
    orders: Mutex<Orders>,
}

#[derive(Debug, Default)]
struct Orders {
    writes: VecDeque<Fault>,
    reads: VecDeque<ErrorKind>,
    hangs: bool,
}

impl FlakyStore {
    /// An empty store without faults.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// The next write goes so; called again, the one after it.
    pub fn fail_write(&self, fault: Fault) {
        self.orders().writes.push_back(fault);
    }

    /// The next scan fails so; called again, the one after it.
    pub fn fail_scan(&self, kind: ErrorKind) {
        self.orders().reads.push_back(kind);
    }

    /// No call is answered from now on.
    pub fn hang(&self) {
        self.orders().hangs = true;
    }

    fn orders(&self) -> MutexGuard<'_, Orders> {
        self.orders.lock().expect("nothing panics while it holds this")
    }

    async fn enter(&self) {
        let hangs = self.orders().hangs;
        if hangs {
            std::future::pending::<()>().await;
        }
    }
}

fn error(kind: ErrorKind) -> Error {
    Error::new(kind, "apply", "the test says so")
}

#[async_trait]
impl Store for FlakyStore {
    async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
        self.enter().await;
        self.inner.get(key).await
    }

    async fn scan(&self, range: &Range, direction: Direction, limit: usize) -> Result<Vec<(Key, Bytes)>> {
        self.enter().await;
        let fault = self.orders().reads.pop_front();
        match fault {
            Some(kind) => Err(error(kind)),
            None => self.inner.scan(range, direction, limit).await,
        }
    }

    async fn apply(&self, batch: Batch) -> Result<Written> {
        self.enter().await;
        let fault = self.orders().writes.pop_front();
        match fault {
            None => self.inner.apply(batch).await,
            Some(Fault::Refused(kind)) => Err(error(kind)),
            Some(Fault::AnswerLost(kind)) => {
                let _ = self.inner.apply(batch).await?;
                Err(error(kind))
            }
        }
    }

    fn trouble(&self) -> Option<String> {
        None
    }
}
