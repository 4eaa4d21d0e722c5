//! What is remembered of processed messages, and when it is written.
//!
//! An order has two guards: the inbox row of its message, and its own row with the outcome. Here the
//! second one is taken away from the handler of orders, so that the inbox is seen to do its work.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bus::{Clock, Moment, Result};
use bytes::Bytes;
use serde_json::Value;
use services::store::{Batch, Direction, Key, Operation, Range, Store, Table, Written};

use super::handling::is_in_order_handler;

/// How long a window that is too short remembers.
const SHORT: Duration = Duration::from_secs(1);

/// When the inbox row is written.
#[derive(Debug)]
pub(super) enum Memory {
    /// Never.
    None,
    /// In a write of its own, before the effect.
    Before,
    /// In the same write.
    WithEffect,
    /// In a write of its own, after the effect.
    After,
    /// In the same write, and forgotten soon.
    Short(Arc<dyn Clock>),
}

/// A store in which the inbox is the only guard of an order.
#[derive(Debug)]
pub(super) struct InboxStore {
    inner: Arc<dyn Store>,
    memory: Memory,
    /// When each inbox row was last written, where that matters.
    written: Mutex<BTreeMap<Key, Moment>>,
}

impl InboxStore {
    pub(super) fn new(inner: Arc<dyn Store>, memory: Memory) -> Self {
        Self { inner, memory, written: Mutex::default() }
    }

    fn is_forgotten(&self, key: &Key) -> bool {
        match &self.memory {
            Memory::None => key.is_of(Table::Inbox),
            Memory::Short(clock) => {
                let written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
                written.get(key).is_some_and(|at| clock.now() > *at + SHORT)
            }
            Memory::Before | Memory::WithEffect | Memory::After => false,
        }
    }

    fn note_written(&self, batch: &Batch) {
        let Memory::Short(clock) = &self.memory else { return };
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        for operation in batch.clone() {
            if let Operation::Put { key, .. } = operation
                && key.is_of(Table::Inbox)
            {
                written.insert(key, clock.now());
            }
        }
    }

    /// Whether a condition holds only of what is really there.
    fn is_void(&self, operation: &Operation) -> bool {
        let Operation::Expect { key, value } = operation else { return false };
        let is_hidden = value.is_none() && key.is_of(Table::Processed) && is_in_order_handler();
        is_hidden || (matches!(self.memory, Memory::Short(_)) && key.is_of(Table::Inbox))
    }
}

fn is_of_inbox(operation: &Operation) -> bool {
    operation.is_of(Table::Inbox) || operation.is_of(Table::InboxExpiry)
}

/// Whether the row of an order says what became of it.
fn has_outcome(row: &Bytes) -> bool {
    serde_json::from_slice::<Value>(row).is_ok_and(|row| !row["status"].is_null())
}

#[async_trait]
impl Store for InboxStore {
    async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
        if self.is_forgotten(key) {
            return Ok(None);
        }
        let found = self.inner.get(key).await?;
        let is_hidden = key.is_of(Table::Processed) && is_in_order_handler();
        Ok(found.filter(|row| !(is_hidden && has_outcome(row))))
    }

    async fn scan(&self, range: &Range, direction: Direction, limit: usize) -> Result<Vec<(Key, Bytes)>> {
        self.inner.scan(range, direction, limit).await
    }

    async fn apply(&self, batch: Batch) -> Result<Written> {
        let batch: Batch = batch.into_iter().filter(|operation| !self.is_void(operation)).collect();
        self.note_written(&batch);
        let (mark, effect): (Vec<Operation>, Vec<Operation>) = batch.clone().into_iter().partition(is_of_inbox);
        let (mark, effect) = (Batch::from_iter(mark), Batch::from_iter(effect));
        let (first, second) = match self.memory {
            Memory::None => (Batch::new(), effect),
            Memory::Before => (mark, effect),
            Memory::After => (effect, mark),
            Memory::WithEffect | Memory::Short(_) => (Batch::new(), batch),
        };
        if first.is_empty() || second.is_empty() {
            return self.inner.apply(first.and(second)).await;
        }
        match self.inner.apply(first).await? {
            Written::Applied(mut numbers) => match self.inner.apply(second).await? {
                Written::Applied(more) => {
                    numbers.extend(more);
                    Ok(Written::Applied(numbers))
                }
                rejected @ Written::Rejected(_) => Ok(rejected),
            },
            rejected @ Written::Rejected(_) => Ok(rejected),
        }
    }

    fn trouble(&self) -> Option<String> {
        self.inner.trouble()
    }
}
