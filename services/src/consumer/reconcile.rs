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
use tracing::{error, info, warn};

use crate::domain::{Order, OrderNumber, Status};
use crate::store::{Batch, Direction, Key, Table, Written};
use crate::wire::IncomingOrder;

use super::Consumer;
use super::cause::Cause;
use super::processing::{Acknowledgement, failed};
use super::producer_api::Changes;

/// Orders read from the producer at a time.
const PAGE_COUNT: usize = 200;
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
    /// Whether there is more to look at: it was asked for a part only.
    pub more: bool,
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
                Err(failure) => warn!(%failure, "not reconciled; trying again at the next turn"),
            }
        }
    }

    /// Reconciles once, up to a grace period before now.
    ///
    /// # Errors
    /// What stopped it, mostly a producer that is down; what was mended by then stays mended.
    pub async fn reconcile(&self) -> Result<Reconciled, Failure> {
        self.reconcile_part(usize::MAX).await
    }

    /// Reconciles at most `page_count_max` pages of changes, so that a request gets its answer in time.
    ///
    /// # Errors
    /// As for [`reconcile`](Self::reconcile).
    pub async fn reconcile_part(&self, page_count_max: usize) -> Result<Reconciled, Failure> {
        let _alone = self.reconciling.lock().await;
        let mut done = Reconciled::default();
        let ended = self.reconcile_pages(page_count_max, &mut done).await;
        self.reconciled(&done, ended.is_ok());
        ended.map(|()| done)
    }

    async fn reconcile_pages(&self, page_count_max: usize, done: &mut Reconciled) -> Result<(), Failure> {
        let settled_before = before(self.seams.clock.wall(), self.settings.reconcile_grace);
        self.resend_results(settled_before, done).await?;
        let mut page_count = 0;
        while self.read_page(settled_before, done).await? {
            page_count += 1;
            if page_count >= page_count_max {
                done.more = true;
                break;
            }
        }
        Ok(())
    }

    /// One page of changes; whether there is more to read.
    async fn read_page(&self, settled_before: Timestamp, done: &mut Reconciled) -> Result<bool, Failure> {
        let cursor = self.store().get(&cursor_key()).await.map_err(failed("store"))?;
        let after = cursor.as_ref().and_then(|bytes| bytes.first_chunk::<8>()).map_or(0, |b| u64::from_be_bytes(*b));
        let Some(page) = self.settled_page(after, settled_before).await? else { return Ok(false) };
        let mut batch = Batch::new();
        for order in &page.items {
            match self.mend_processing(order, done).await {
                Ok(()) => {}
                Err(down @ Failure::Unavailable(_)) => return Err(down),
                // Its message goes to the dead letters for the same reason; nobody else waits for it.
                Err(failure) => error!(order_number = %order.order_number, %failure, "this order cannot be processed"),
            }
            let write = self.copy_write(order).await.map_err(failed("store"))?;
            done.copied += usize::from(!write.is_empty());
            batch = batch.and(write);
        }
        done.checked += page.items.len();
        // The cursor and the copies it has passed are one write.
        let next = Bytes::copy_from_slice(&page.next.to_be_bytes());
        let batch = batch.expect(cursor_key(), cursor).put(cursor_key(), next);
        match self.store().apply(batch).await.map_err(failed("store"))? {
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

    /// Pending and never processed: the order handler itself, under the same guard. Pending and
    /// processed, with a result that is not on its way: put it again. Cancelled without an
    /// outcome: undone, since its message may have gone to the dead letters half-way.
    async fn mend_processing(&self, order: &Order, done: &mut Reconciled) -> Result<(), Failure> {
        let number = &order.order_number;
        let incoming = IncomingOrder {
            order_number: number.clone(),
            customer_name: order.customer_name.clone(),
            product_name: order.product_name.clone(),
            quantity: order.quantity,
            price: order.price,
            version: Some(order.version).filter(|version| *version > 0),
        };
        match order.status {
            Status::Pending => {}
            Status::Cancelled => return self.call_off(&incoming).await,
            Status::Completed | Status::Failed => return Ok(()),
        }
        // Until it stands: an order whose message was faster is looked at again.
        loop {
            let known = self.processed(number).await.map_err(failed("store"))?;
            let (batch, outgoing, outcome) = match &known {
                Some(at) if at.row.status.is_some() => match at.row.acknowledgement {
                    Acknowledgement::Foreign => (Self::reopened(at), Vec::new(), None),
                    _ => return Ok(()),
                },
                _ => {
                    let work = self.work(&incoming, &Cause::reconciler()).await?;
                    (work.effects, work.outgoing, work.outcome)
                }
            };
            if let Written::Applied(_) = self.mailbox.apply(batch, &outgoing).await.map_err(failed("store"))? {
                if let Some(outcome) = outcome {
                    done.processed += 1;
                    self.has_processed(number, outcome, &Cause::reconciler());
                }
                return Ok(());
            }
        }
    }

    /// Undoes what was begun for a cancelled order and came to no outcome. That nothing is known of it
    /// does not mean that nothing was done: the first step comes before the first row.
    async fn call_off(&self, order: &IncomingOrder) -> Result<(), Failure> {
        loop {
            let at = self.take_up(order).await.map_err(failed("store"))?;
            if at.row.status.is_some() {
                return Ok(());
            }
            self.undo(&order.order_number).await?;
            let write = self.called_off(&at).effects;
            if let Written::Applied(_) = self.store().apply(write).await.map_err(failed("store"))? {
                return Ok(());
            }
        }
    }

    /// Results the producer has not acknowledged in time are put again. One that fails stops no other.
    async fn resend_results(&self, settled_before: Timestamp, done: &mut Reconciled) -> Result<(), Failure> {
        let mut range = Table::Unacknowledged.all();
        loop {
            let awaited = self.store().scan(&range, Direction::Forward, PAGE_COUNT).await.map_err(failed("store"))?;
            let Some((last, _)) = awaited.last() else { return Ok(()) };
            range = range.after(last);
            for (key, _) in &awaited {
                match self.resend(key, settled_before).await {
                    Ok(resent) => done.resent += usize::from(resent),
                    Err(down @ Failure::Unavailable(_)) => return Err(down),
                    Err(failure) => warn!(?key, %failure, "this result was not brought; trying again at the next turn"),
                }
            }
        }
    }

    async fn resend(&self, key: &Key, settled_before: Timestamp) -> Result<bool, Failure> {
        let name = String::from_utf8_lossy(&key.as_bytes()[1..]).into_owned();
        let Ok(number) = OrderNumber::parse(&name) else { return Ok(false) };
        let Some(at) = self.processed(&number).await.map_err(failed("store"))? else { return Ok(false) };
        if at.row.processed_at.is_none_or(|processed_at| processed_at > settled_before) {
            return Ok(false);
        }
        let write = self.bring(&at, &Cause::reconciler()).await?;
        let _ = self.store().apply(write).await.map_err(failed("store"))?;
        Ok(true)
    }
}

fn cursor_key() -> Key {
    Table::Cursor.key("changes")
}

fn before(now: Timestamp, grace: Duration) -> Timestamp {
    now.saturating_sub(grace).unwrap_or(Timestamp::MIN)
}
