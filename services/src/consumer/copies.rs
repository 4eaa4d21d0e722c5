//! The copy of the producer's orders: never older than it was.

use bus::Result;
use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::{Order, OrderNumber};
use crate::store::{Batch, Table, decode, encode};

use super::Consumer;

/// A copied order, and when it was fetched.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct CopyRow {
    pub(super) order: Order,
    pub(super) synced_at: Timestamp,
}

pub(super) struct Copy {
    pub(super) row: CopyRow,
    stored: Bytes,
}

impl Consumer {
    pub(super) async fn copy(&self, number: &OrderNumber) -> Result<Option<Copy>> {
        let Some(stored) = self.store().get(&Table::Copies.key(number.as_str())).await? else { return Ok(None) };
        Ok(Some(Copy { row: decode(&stored)?, stored }))
    }

    /// The write that makes `fetched` the copy; nothing when the copy is as new.
    pub(super) async fn copy_write(&self, fetched: &Order) -> Result<Batch> {
        let number = fetched.order_number.as_str();
        let known = self.copy(&fetched.order_number).await?;
        if known.as_ref().is_some_and(|known| is_as_new(&known.row.order, fetched)) {
            return Ok(Batch::new());
        }
        let row = CopyRow { order: fetched.clone(), synced_at: self.seams.clock.wall() };
        let key = Table::Copies.key(number);
        let is_new = known.is_none();
        let batch = Batch::new().expect(key.clone(), known.map(|known| known.stored)).put(key, encode(&row));
        Ok(if is_new { batch.append(Table::CopiesBySequence, number.to_owned()) } else { batch })
    }
}

/// Whether `known` is at least as new: by version, and where one is not told by the time of the last
/// change, of which none is the oldest.
fn is_as_new(known: &Order, fetched: &Order) -> bool {
    match (known.version, fetched.version) {
        (0, _) | (_, 0) => known.updated_at >= fetched.updated_at,
        (known, fetched) => known >= fetched,
    }
}
