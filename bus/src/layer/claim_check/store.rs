//! Where bodies wait to be claimed.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;

use crate::Result;

/// Keeps bodies by key: an object store, a database, a shared directory.
///
/// Every process that publishes or receives through [`ClaimCheck`](super::ClaimCheck) needs the same
/// one. Calls run at the same time; dropping one leaves a `put` or `remove` done or not.
#[async_trait]
pub trait ClaimStore: Send + Sync + fmt::Debug + 'static {
    /// Largest body in bytes; `None`: bounded by its space alone.
    fn body_bytes_max(&self) -> Option<usize>;

    /// Keeps `body`. `Ok` promises that it is as durable as the bus's messages are and that every
    /// [`get`](Self::get) from now on finds it. The same key with the same body is put again when a
    /// message is published again.
    ///
    /// The key is 1–128 bytes without control characters, and may come from a foreign producer: do
    /// not make a path of it unescaped.
    ///
    /// # Errors
    /// Any error: the message is refused with it.
    async fn put(&self, key: &str, body: Bytes) -> Result<()>;

    /// The body of `key`; `None` when it was never kept or is kept no longer.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) when the body cannot be read whatever one does: the
    /// message goes to the dead letters. Any other error: the store does not serve now, and
    /// receiving pauses.
    async fn get(&self, key: &str) -> Result<Option<Bytes>>;

    /// Forgets `key`, which may be unknown. The bus never calls it: see
    /// [`ClaimCheck`](super::ClaimCheck).
    ///
    /// # Errors
    /// Any error leaves open whether it was forgotten.
    async fn remove(&self, key: &str) -> Result<()>;
}

/// Claims in this process, for tests and simulations: gone with it, never expired.
#[derive(Default)]
pub struct MemoryClaims {
    body_bytes_max: Option<usize>,
    bodies: Mutex<BTreeMap<String, Bytes>>,
}

impl MemoryClaims {
    /// A store that takes bodies of any size.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The same with a limit on each body.
    #[must_use]
    pub fn with_body_bytes_max(mut self, body_bytes_max: usize) -> Self {
        self.body_bytes_max = Some(body_bytes_max);
        self
    }

    /// The keys it has bodies of, in their order.
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        self.with(|bodies| bodies.keys().cloned().collect())
    }

    fn with<R>(&self, work: impl FnOnce(&mut BTreeMap<String, Bytes>) -> R) -> R {
        work(&mut self.bodies.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl ClaimStore for MemoryClaims {
    fn body_bytes_max(&self) -> Option<usize> {
        self.body_bytes_max
    }

    async fn put(&self, key: &str, body: Bytes) -> Result<()> {
        self.with(|bodies| bodies.insert(key.to_owned(), body));
        Ok(())
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>> {
        Ok(self.with(|bodies| bodies.get(key).cloned()))
    }

    async fn remove(&self, key: &str) -> Result<()> {
        self.with(|bodies| bodies.remove(key));
        Ok(())
    }
}

impl fmt::Debug for MemoryClaims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.with(|bodies| bodies.len());
        f.debug_struct("MemoryClaims").field("count", &count).finish_non_exhaustive()
    }
}
