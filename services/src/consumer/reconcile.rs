//! Finding and mending whatever messages did not bring.
//!
//! Queues forget: retention ends, a broker is replaced, a message goes astray. The producer's change
//! sequence does not. The reconciler reads it from where it stopped, always a grace period behind,
//! and does for each order what its messages should have done, under the same guards.

use std::time::Duration;

use bus::pipeline::Failure;
use bus::{ClockExt, Result};
use bytes::Bytes;
use jiff::Timestamp;
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::domain::{Order, OrderNumber, Status};
use crate::store::{Batch, Direction, Key, Table, Written};
use crate::wire::IncomingOrder;

use super::Consumer;
use super::orders::log_processed;
use super::processing::unavailable;
use super::producer_api::Changes;

/// Orders read from the producer at a time.
const PAGE_COUNT: usize = 200;
/// Results looked at in one run; the next run goes on.
const RESULT_COUNT_MAX: usize = 10_000;

/// What a reconciliation did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Reconciled {
    /// Changes looked at.
    pub checked: usize,
    /// Copies that were behind and fetched.
    pub copied: usize,
    /// Orders that were never processed and are now.
    pub processed: usize,
    /// Results that were not acknowledged and were put again.
    pub resent: usize,
}

impl Consumer {
    pub(super) async fn reconcile_regularly(&self, shutdown: &CancellationToken) {
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                () = self.seams.clock.sleep(self.settings.reconcile_every) => {}
            }
            let reconciled = tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                reconciled = self.reconcile() => reconciled,
            };
            match reconciled {
                Ok(done) if done.copied + done.processed + done.resent > 0 => {
                    info!(
                        checked = done.checked,
                        copied = done.copied,
                        processed = done.processed,
                        resent = done.resent,
                        "reconciled what messages had not brought"
                    );
                }
                Ok(_) => {}
                Err(failure) => warn!(?failure, "not reconciled; trying again at the next turn"),
            }
        }
    }

    /// Reconciles once, up to a grace period before now.
    ///
    /// # Errors
    /// What stopped it, mostly a producer that is down; what was mended by then stays mended.
    pub async fn reconcile(&self) -> Result<Reconciled, Failure> {
        let _alone = self.reconciling.lock().await;
        let mut done = Reconciled::default();
        let settled_before = before(self.seams.clock.wall(), self.settings.reconcile_grace);
        self.resend_results(settled_before, &mut done).await?;
        while self.read_page(settled_before, &mut done).await? {}
        Ok(done)
    }

    /// One page of changes; whether there is more to read.
    async fn read_page(&self, settled_before: Timestamp, done: &mut Reconciled) -> Result<bool, Failure> {
        let cursor = self.store().get(&cursor_key()).await.map_err(unavailable("store"))?;
        let after = cursor.as_ref().and_then(|bytes| bytes.first_chunk::<8>()).map_or(0, |b| u64::from_be_bytes(*b));
        let Some(page) = self.settled_page(after, settled_before).await? else { return Ok(false) };
        let mut batch = Batch::new();
        for order in &page.items {
            self.mend_processing(order, done).await?;
            let write = self.copy_write(order).await.map_err(unavailable("store"))?;
            done.copied += usize::from(!write.is_empty());
            batch = batch.and(write);
        }
        done.checked += page.items.len();
        // The cursor and the copies it has passed are one write.
        let next = Bytes::copy_from_slice(&page.next.to_be_bytes());
        let batch = batch.expect(cursor_key(), cursor).put(cursor_key(), next);
        match self.store().apply(batch).await.map_err(unavailable("store"))? {
            Written::Applied(_) => Ok(page.has_more),
            // A message was faster with one of the copies: the page is read again.
            Written::Rejected(_) => Ok(true),
        }
    }

    /// The next page without changes younger than the grace period; `None` when there is none yet.
    async fn settled_page(&self, after: u64, settled_before: Timestamp) -> Result<Option<Changes>, Failure> {
        let mut limit = PAGE_COUNT;
        loop {
            let page = self.producer.changes(after, limit).await?;
            let settled = page.items.iter().take_while(|order| order.changed_at() <= settled_before).count();
            if settled == page.items.len() {
                return Ok(Some(page).filter(|page| page.next > after));
            }
            // Changes come in the order of time. A page of so many lines ends before the first young one.
            if settled == 0 || settled >= limit {
                return Ok(None);
            }
            limit = settled;
        }
    }

    /// Pending and never processed: the order handler itself, under the same guard.
    async fn mend_processing(&self, order: &Order, done: &mut Reconciled) -> Result<(), Failure> {
        let number = &order.order_number;
        if order.status != Status::Pending {
            return Ok(());
        }
        let known = self.processed(number).await.map_err(unavailable("store"))?;
        if known.is_some_and(|known| known.row.status.is_some()) {
            return Ok(());
        }
        let incoming = IncomingOrder {
            order_number: number.clone(),
            customer_name: order.customer_name.clone(),
            product_name: order.product_name.clone(),
            quantity: order.quantity,
            price: order.price,
            version: Some(order.version),
        };
        let work = self.work(&incoming).await?;
        if work.effects.is_empty() {
            return Ok(());
        }
        match self.mailbox.apply(work.effects, &work.outgoing).await.map_err(unavailable("store"))? {
            Written::Applied(_) => {
                done.processed += 1;
                if let Some(outcome) = work.outcome {
                    log_processed(number, outcome);
                }
            }
            Written::Rejected(_) => {}
        }
        Ok(())
    }

    /// Results the producer has not acknowledged in time are put again.
    async fn resend_results(&self, settled_before: Timestamp, done: &mut Reconciled) -> Result<(), Failure> {
        let awaited = self.store().scan(&Table::Unacknowledged.all(), Direction::Forward, RESULT_COUNT_MAX).await;
        for (key, _) in awaited.map_err(unavailable("store"))? {
            let name = String::from_utf8_lossy(&key.as_bytes()[1..]).into_owned();
            let Ok(number) = OrderNumber::parse(&name) else { continue };
            let Some(at) = self.processed(&number).await.map_err(unavailable("store"))? else { continue };
            if at.row.processed_at.is_none_or(|processed_at| processed_at > settled_before) {
                continue;
            }
            let write = self.bring(&at).await?;
            let _ = self.store().apply(write).await.map_err(unavailable("store"))?;
            done.resent += 1;
        }
        Ok(())
    }
}

fn cursor_key() -> Key {
    Table::Cursor.key("changes")
}

fn before(now: Timestamp, grace: Duration) -> Timestamp {
    now.saturating_sub(grace).unwrap_or(Timestamp::MIN)
}
