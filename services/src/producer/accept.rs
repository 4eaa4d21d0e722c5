//! Accepting an order: the order, its two messages and its idempotency key in one write.

use std::sync::atomic::Ordering;

use bus::{Error, ErrorKind, Result};
use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tracing::info;

use crate::domain::{Order, OrderNumber, OrderRequest};
use crate::store::{Batch, Key, Table, Written, decode, encode};
use crate::wire::OrderBody;

use super::Producer;
use super::change::ChangeRow;

/// How long an idempotency key answers with its first answer.
pub const IDEMPOTENCY_KEPT_FOR: SignedDuration = SignedDuration::from_hours(24);

/// Draws of an order number before giving up: with 2³² suffixes a second, one is nearly always enough.
const DRAW_COUNT_MAX: usize = 32;

/// An accepted order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Its number.
    pub order_number: OrderNumber,
    /// The body of the first answer, byte for byte.
    pub body: Bytes,
    /// Whether this repeats an earlier answer.
    pub replayed: bool,
}

/// Why an order was not accepted.
#[derive(Debug)]
pub enum Refusal {
    /// The idempotency key was used with another body.
    KeyReused,
    /// The store did not answer: it may or may not be there. Repeat with the same key.
    Store(Error),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}

/// The first answer under an idempotency key.
#[derive(Debug, Serialize, Deserialize)]
struct IdempotencyRow {
    request: OrderRequest,
    order_number: OrderNumber,
    body: String,
    expires_at: Timestamp,
}

impl Producer {
    /// Accepts an order. `Ok` promises that it is durable, its messages with it.
    ///
    /// With a key, the first call decides and all others repeat its answer; calls at the same time
    /// wait for it.
    ///
    /// # Errors
    /// See [`Refusal`].
    pub async fn accept(&self, request: &OrderRequest, key: Option<&str>) -> Result<Accepted, Refusal> {
        let idempotency_key = key.map(|key| Table::Idempotency.key(key));
        // Looked up first, so that a repeat costs neither an id nor a write.
        let mut known = self.remembered(idempotency_key.as_ref()).await?;
        for draw in 0..DRAW_COUNT_MAX {
            let now = self.seams.clock.wall();
            let expired = match known.take() {
                Some((_, row)) if row.expires_at > now => return self.replay(row, request),
                expired => expired,
            };
            let number = OrderNumber::draw(&self.seams, &self.settings.time_zone, key.unwrap_or_default());
            if draw == 0 {
                info!(event = "order_requested", order_number = %number, customer_name = request.customer_name,
                    product_name = request.product_name, quantity = request.quantity, price = %request.price,
                    "order requested");
            }
            let id = self.last_id.fetch_add(1, Ordering::Relaxed) + 1;
            let order = Order::accept(request, id, number, now);
            let body = encode(&OrderBody::of(&order, &self.settings.time_zone));
            let mut batch = insertion(&order);
            if let Some(key) = &idempotency_key {
                batch = remember(batch, key, expired.as_ref(), request, &order, &body, now);
            }
            let outgoing = [self.order_message(&order), self.order_updated(&order)];
            match self.mailbox.apply(batch, &outgoing).await? {
                Written::Applied(_) => {
                    self.tally.changed.of(order.status.as_str()).inc();
                    let order_number = order.order_number;
                    info!(event = "order_stored", %order_number, id, "order stored");
                    return Ok(Accepted { order_number, body, replayed: false });
                }
                Written::Rejected(key) if Some(&key) == idempotency_key.as_ref() => {
                    known = self.remembered(Some(&key)).await?;
                }
                Written::Rejected(_) => known = expired,
            }
        }
        Err(Error::new(ErrorKind::Unexpected, "accept", "no free order number was found").into())
    }

    /// What is stored under an idempotency key, also when it has expired.
    async fn remembered(&self, key: Option<&Key>) -> Result<Option<(Bytes, IdempotencyRow)>> {
        let Some(key) = key else { return Ok(None) };
        let Some(stored) = self.store().get(key).await? else { return Ok(None) };
        let row = decode(&stored)?;
        Ok(Some((stored, row)))
    }

    fn replay(&self, row: IdempotencyRow, request: &OrderRequest) -> Result<Accepted, Refusal> {
        if row.request != *request {
            return Err(Refusal::KeyReused);
        }
        self.tally.replayed.inc();
        info!(event = "order_replayed", order_number = %row.order_number, "the first answer under this key is repeated");
        Ok(Accepted { order_number: row.order_number, body: row.body.into(), replayed: true })
    }
}

fn insertion(order: &Order) -> Batch {
    let (row, number) = (encode(order), order.order_number.as_str());
    let by_id = Table::OrdersById.number(order.id);
    Batch::new()
        .expect(Table::Orders.key(number), None)
        .expect(by_id.clone(), None)
        .put(Table::Orders.key(number), row)
        .put(by_id, number.to_owned())
        .put(super::read::status_key(order), number.to_owned())
        .append(Table::Changes, encode(&ChangeRow::of(order)))
}

/// Adds the idempotency key to the write, in the place of an expired one.
fn remember(
    batch: Batch,
    key: &Key,
    expired: Option<&(Bytes, IdempotencyRow)>,
    request: &OrderRequest,
    order: &Order,
    body: &Bytes,
    now: Timestamp,
) -> Batch {
    let row = IdempotencyRow {
        request: request.clone(),
        order_number: order.order_number.clone(),
        body: String::from_utf8_lossy(body).into_owned(),
        expires_at: now.saturating_add(IDEMPOTENCY_KEPT_FOR).unwrap_or(Timestamp::MAX),
    };
    let mut batch = batch.expect(key.clone(), expired.map(|(stored, _)| stored.clone()));
    if let Some((_, old)) = expired {
        batch = batch.delete(expiry_key(old.expires_at, key));
    }
    batch.put(expiry_key(row.expires_at, key), key.as_bytes().to_vec()).put(key.clone(), encode(&row))
}

fn expiry_key(at: Timestamp, key: &Key) -> Key {
    Table::IdempotencyExpiry.number(u64::try_from(at.as_second()).unwrap_or(0)).then(key.as_bytes())
}
