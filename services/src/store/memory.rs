//! The store's executable specification: a sorted map.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use bus::Result;
use bytes::Bytes;

use super::evaluate::evaluate;
use super::{Batch, Direction, Key, Range, Store, Written};

/// Keeps everything in memory; deterministic, and gone with the process.
#[derive(Debug, Default)]
pub struct MemoryStore(Mutex<BTreeMap<Vec<u8>, Bytes>>);

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
        let map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(map.get(key.as_bytes()).cloned())
    }

    async fn scan(&self, range: &Range, direction: Direction, limit: usize) -> Result<Vec<(Key, Bytes)>> {
        let map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let entries = map.range(range.bounds());
        let owned = |(key, value): (&Vec<u8>, &Bytes)| (Key::from_stored(key.clone()), value.clone());
        Ok(match direction {
            Direction::Forward => entries.take(limit).map(owned).collect(),
            Direction::Backward => entries.rev().take(limit).map(owned).collect(),
        })
    }

    async fn apply(&self, batch: Batch) -> Result<Written> {
        let mut map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (changes, written) = evaluate(batch, |key| map.get(key.as_bytes()).cloned());
        for (key, value) in changes {
            match value {
                Some(value) => map.insert(key.as_bytes().to_vec(), value),
                None => map.remove(key.as_bytes()),
            };
        }
        Ok(written)
    }

    fn trouble(&self) -> Option<String> {
        None
    }
}
