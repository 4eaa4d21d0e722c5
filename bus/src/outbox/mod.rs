//! Messages written with the state that causes them, and the relay that publishes them.
//!
//! A service that writes its database and then publishes can die in between. So it writes the
//! message as a row of its [`Outbox`] in the same transaction, and the [`Relay`] publishes rows
//! until the bus has accepted each. A row may be sent twice, always with the same id and bytes.

mod relay;
mod status;
mod window;

use async_trait::async_trait;

pub use relay::Relay;
pub use status::RelayStatus;

use crate::{Outgoing, Result};

/// A message waiting to be published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxRow {
    /// Its place: rows of one key are published in this order.
    pub sequence: u64,
    /// What to publish, with the id fixed when the row was written.
    pub outgoing: Outgoing,
}

/// What became of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Relayed {
    /// The bus accepted it: remove the row.
    Sent(u64),
    /// The bus refuses it for good: keep the row aside with the reason, for people to see. It is
    /// offered again after a restart.
    Parked(u64, String),
}

/// The outbox of an application's store.
#[async_trait]
pub trait Outbox: Send + Sync {
    /// At most `max` rows with a sequence above `after`, in sequence order.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn pending(&self, after: u64, max: usize) -> Result<Vec<OutboxRow>>;

    /// Resolves once a row with a sequence above `after` exists.
    async fn wait(&self, after: u64);

    /// Records what became of rows.
    ///
    /// # Errors
    /// On an error rows may be sent once more.
    async fn relayed(&self, relayed: &[Relayed]) -> Result<()>;
}
