//! The store seam: ordered keys, atomic conditional batches.
//!
//! Everything the services keep goes through [`Store`], so that one small contract has a durable
//! implementation ([`JournaledStore`]), an executable specification ([`MemoryStore`]) and, in a
//! simulator, a model with faults. What a batch means is written once, in `evaluate`.
//!
//! [`Mailbox`] keeps inbox and outbox rows on it, next to the rows of the services.

mod batch;
mod evaluate;
mod identity;
mod journaled;
mod mailbox;
mod memory;
mod outgoing_row;
mod prune;
mod rows;
mod table;

use async_trait::async_trait;
use bus::Result;
use bytes::Bytes;

pub use batch::{Batch, Operation, Written};
pub use identity::StoreId;
pub use journal::{Commits, Direction};
pub use journaled::JournaledStore;
pub use mailbox::Mailbox;
pub use memory::MemoryStore;
pub use prune::prune;
pub(crate) use prune::prune_regularly;
pub(crate) use rows::sum;
pub use rows::{decode, encode};
pub use table::{Key, Range, Table};

/// An ordered key–value store with atomic, conditional, durable batches.
///
/// Batches take effect one after the other. A read never shows what a crash could take back.
#[async_trait]
pub trait Store: Send + Sync + std::fmt::Debug {
    /// The value of `key`.
    ///
    /// # Errors
    /// [`Unavailable`](bus::ErrorKind::Unavailable) or [`Closed`](bus::ErrorKind::Closed) when the store cannot answer.
    async fn get(&self, key: &Key) -> Result<Option<Bytes>>;

    /// At most `limit` entries of `range`.
    ///
    /// # Errors
    /// As for [`get`](Self::get).
    async fn scan(&self, range: &Range, direction: Direction, limit: usize) -> Result<Vec<(Key, Bytes)>>;

    /// Applies all of `batch` or nothing. `Ok(Written::…)` promises that it is durable;
    /// `Ok(Written::Rejected)` that nothing was written, and that what it was rejected for is durable.
    ///
    /// # Errors
    /// An error leaves open whether it was applied.
    async fn apply(&self, batch: Batch) -> Result<Written>;

    /// Why the store no longer serves, `None` while it does. Answers from memory.
    fn trouble(&self) -> Option<String>;
}
