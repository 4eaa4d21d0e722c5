//! Reading orders: one, a list, the change sequence.

use bus::Result;
use bytes::Bytes;
use futures_util::future::try_join_all;

use crate::domain::{Order, OrderNumber, Status};
use crate::store::{Direction, Key, Table, decode};
use crate::wire::{OrderBody, Page, SyncPage};

use super::Producer;
use super::change::ChangeRow;

/// Where an order stands in the list of its status.
pub(super) fn status_key(order: &Order) -> Key {
    status_prefix(order.status).then(order.id.to_be_bytes())
}

pub(super) fn status_prefix(status: Status) -> Key {
    Table::OrdersByStatus.key("").text(status.as_str())
}

impl Producer {
    /// The order of that number.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn order(&self, number: &OrderNumber) -> Result<Option<Order>> {
        self.store().get(&Table::Orders.key(number.as_str())).await?.as_ref().map(decode).transpose()
    }

    /// Orders newest first, below the id `before`, of one status or of all.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn list(&self, status: Option<Status>, limit: usize, before: Option<u64>) -> Result<Page<OrderBody>> {
        let prefix = status.map_or_else(|| Table::OrdersById.key(""), status_prefix);
        let mut range = crate::store::Range::under(&prefix);
        if let Some(before) = before {
            range = range.before(&prefix.then(before.to_be_bytes()));
        }
        let mut entries = self.store().scan(&range, Direction::Backward, limit + 1).await?;
        let more = entries.len() > limit;
        entries.truncate(limit);
        let last = entries.last().and_then(|(key, _)| key.last_number());
        let orders = try_join_all(entries.iter().map(|(_, number)| self.stored(number))).await?;
        let items = orders.iter().flatten().map(|order| OrderBody::of(order, &self.settings.time_zone)).collect();
        Ok(Page { items, next_cursor: last.filter(|_| more).map(|id| format!("{id:016x}")) })
    }

    /// Orders in the order of their changes, after `after`. An order that has changed again stands
    /// only where its latest change does.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn changes(&self, after: u64, limit: usize) -> Result<SyncPage> {
        let range = Table::Changes.all().after(&Table::Changes.number(after));
        let mut entries = self.store().scan(&range, Direction::Forward, limit + 1).await?;
        let has_more = entries.len() > limit;
        entries.truncate(limit);
        let next = entries.last().and_then(|(key, _)| key.last_number()).unwrap_or(after);
        let rows: Vec<ChangeRow> = entries.iter().map(|(_, row)| decode(row)).collect::<Result<_>>()?;
        let orders = try_join_all(rows.iter().map(|row| self.order(&row.order_number))).await?;
        let latest =
            orders.into_iter().zip(&rows).filter_map(|(order, row)| order.filter(|o| o.version == row.version));
        let items = latest.map(|order| OrderBody::of(&order, &self.settings.time_zone)).collect();
        Ok(SyncPage { items, next, has_more })
    }

    pub(super) async fn stored(&self, number: &Bytes) -> Result<Option<Order>> {
        let key = Table::Orders.key(number);
        self.store().get(&key).await?.as_ref().map(decode).transpose()
    }
}
