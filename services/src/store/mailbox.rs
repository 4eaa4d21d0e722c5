//! Inbox and outbox on a [`Store`], in the same batches as the services' own rows.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use bus::inbox::{Committed, Inbox, Parts};
use bus::outbox::{Outbox, OutboxRow, Relayed};
use bus::pipeline::{Attempts, Begun};
use bus::{MessageId, Outgoing, Result, Seams, Subscription};
use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tracing::error;

use super::outgoing_row::{OutgoingRow, check};
use super::{Batch, Direction, Key, Store, Table, Written, decode, encode};

/// How long a message id is remembered: SQS, which keeps messages longest, keeps them 14 days.
const REMEMBERED_FOR: jiff::SignedDuration = jiff::SignedDuration::from_hours(15 * 24);

/// The inbox and outbox of one service.
#[derive(Debug)]
pub struct Mailbox {
    store: Arc<dyn Store>,
    seams: Seams,
    outbox_grew: Notify,
    /// A write was abandoned by its caller and may land yet.
    abandoned: AtomicBool,
}

/// What is known of a message id on a subscription.
#[derive(Debug, Default, Serialize, Deserialize)]
struct InboxRow {
    attempts: u32,
    done: bool,
}

impl Mailbox {
    /// The mailbox that lives in `store`.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, seams: Seams) -> Self {
        Self { store, seams, outbox_grew: Notify::new(), abandoned: AtomicBool::new(false) }
    }

    /// The store it lives in.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// Clock and entropy.
    #[must_use]
    pub fn seams(&self) -> &Seams {
        &self.seams
    }

    /// Applies `batch` and adds `outgoing` to the outbox, all or nothing.
    ///
    /// # Errors
    /// [`Invalid`](bus::ErrorKind::Invalid) for a body that is no text; otherwise as for [`Store::apply`].
    pub async fn apply(&self, batch: Batch, outgoing: &[Outgoing]) -> Result<Written> {
        let batch = outgoing
            .iter()
            .fold(batch, |batch, message| batch.append(Table::Outbox, encode(&OutgoingRow::of(message))));
        if outgoing.is_empty() {
            return self.store.apply(batch).await;
        }
        check(outgoing)?;
        let landing = Landing { mailbox: self, landed: false };
        let written = self.store.apply(batch).await;
        landing.done();
        written
    }

    /// How many messages wait to be published, counted up to `count_max`, and when the oldest of them was made.
    ///
    /// # Errors
    /// As for [`Store::scan`].
    pub async fn backlog(&self, count_max: usize) -> Result<(usize, Option<Timestamp>)> {
        let rows = self.store.scan(&Table::Outbox.all(), Direction::Forward, count_max).await?;
        let oldest = rows.first().and_then(|(_, value)| decode::<OutgoingRow>(value).ok());
        Ok((rows.len(), oldest.and_then(|row| row.into_outgoing().ok()?.message().id().made_at())))
    }

    /// Messages the bus refused for good.
    ///
    /// # Errors
    /// As for [`Store::scan`].
    pub async fn parked_count(&self) -> Result<usize> {
        Ok(self.store.scan(&Table::Parked.all(), Direction::Forward, usize::MAX).await?.len())
    }

    /// Offers parked messages to the bus again, at their old places. Called at start-up.
    ///
    /// # Errors
    /// As for [`Store::apply`].
    pub async fn unpark(&self) -> Result<()> {
        for (key, value) in self.store.scan(&Table::Parked.all(), Direction::Forward, usize::MAX).await? {
            let (Some(sequence), Ok(parked)) = (key.last_number(), decode::<OutgoingRow>(&value)) else { continue };
            let row = parked.refused(None);
            let batch = Batch::new().expect(key.clone(), Some(value)).delete(key);
            let _ = self.store.apply(batch.put(Table::Outbox.number(sequence), encode(&row))).await?;
        }
        Ok(())
    }

    async fn row(&self, key: &Key) -> Result<(Option<Bytes>, InboxRow)> {
        let stored = self.store.get(key).await?;
        let row = stored.as_ref().map(decode).transpose()?.unwrap_or_default();
        Ok((stored, row))
    }

    /// Counts one start more or less and says what the row was.
    async fn count(&self, subscription: &Subscription, message_id: &MessageId, change: Count) -> Result<InboxRow> {
        let key = inbox_key(subscription, message_id);
        loop {
            let (stored, row) = self.row(&key).await?;
            let attempts = match change {
                Count::Begin => row.attempts.saturating_add(1),
                Count::Forgive => row.attempts.saturating_sub(1),
                Count::Forget => 0,
            };
            if row.done || attempts == row.attempts {
                return Ok(row);
            }
            let mut batch = Batch::new().expect(key.clone(), stored.clone());
            if stored.is_none() {
                batch = batch.put(self.expiry_key(&key), key.as_bytes().to_vec());
            }
            let counted = InboxRow { attempts, done: false };
            match self.store.apply(batch.put(key.clone(), encode(&counted))).await? {
                Written::Applied(_) => return Ok(counted),
                Written::Rejected(_) => {}
            }
        }
    }

    fn expiry_key(&self, key: &Key) -> Key {
        let forgotten = self.seams.clock.wall().saturating_add(REMEMBERED_FOR).unwrap_or(Timestamp::MAX);
        let second = u64::try_from(forgotten.as_second()).unwrap_or(0);
        Table::InboxExpiry.number(second).then(key.as_bytes())
    }
}

/// A write with outgoing messages, from its start until its caller knows. A caller may be cancelled in
/// between (its client hangs up, its lease is lost), and the write lands nevertheless: whoever waits for
/// rows is told to look behind it.
struct Landing<'a> {
    mailbox: &'a Mailbox,
    landed: bool,
}

impl Landing<'_> {
    fn done(mut self) {
        self.landed = true;
    }
}

impl Drop for Landing<'_> {
    fn drop(&mut self) {
        if !self.landed {
            // An empty batch is applied after all that were handed in before: then the row is there.
            self.mailbox.abandoned.store(true, Ordering::Release);
        }
        // Also after an error: the rows may be there.
        self.mailbox.outbox_grew.notify_waiters();
    }
}

#[derive(Clone, Copy)]
enum Count {
    Begin,
    Forgive,
    Forget,
}

fn inbox_key(subscription: &Subscription, message_id: &MessageId) -> Key {
    Table::Inbox.key("").text(&subscription.to_string()).then(message_id.to_string())
}

#[async_trait]
impl Attempts for Mailbox {
    async fn begin(&self, subscription: &Subscription, messages: &[MessageId]) -> Result<Vec<Begun>> {
        // Together, so that they share a group commit.
        let counts = messages.iter().map(|message_id| self.count(subscription, message_id, Count::Begin));
        let rows = futures_util::future::try_join_all(counts).await?;
        Ok(rows.into_iter().map(|row| if row.done { Begun::Done } else { Begun::Attempt(row.attempts) }).collect())
    }

    async fn forgive(&self, subscription: &Subscription, messages: &[MessageId]) -> Result<()> {
        let counts = messages.iter().map(|message_id| self.count(subscription, message_id, Count::Forgive));
        futures_util::future::try_join_all(counts).await?;
        Ok(())
    }

    async fn forget(&self, subscription: &Subscription, message: &MessageId) -> Result<()> {
        self.count(subscription, message, Count::Forget).await.map(|_| ())
    }
}

#[async_trait]
impl Inbox for Mailbox {
    type Effects = Batch;

    async fn commit(&self, parts: Parts<Batch>) -> Result<Committed> {
        let key = inbox_key(&parts.subscription, &parts.message_id);
        let (stored, row) = self.row(&key).await?;
        if row.done {
            return Ok(Committed::Duplicate);
        }
        let mut batch = Batch::new().expect(key.clone(), stored.clone());
        if stored.is_none() {
            batch = batch.put(self.expiry_key(&key), key.as_bytes().to_vec());
        }
        batch = batch.put(key, encode(&InboxRow { done: true, ..row }));
        match self.apply(batch.and(parts.effects), &parts.outgoing).await? {
            Written::Applied(_) => Ok(Committed::Applied),
            Written::Rejected(_) => Ok(Committed::Conflict),
        }
    }
}

#[async_trait]
impl Outbox for Mailbox {
    async fn pending(&self, after: u64, max: usize) -> Result<Vec<OutboxRow>> {
        let range = Table::Outbox.all().after(&Table::Outbox.number(after));
        let mut rows = Vec::new();
        for (key, value) in self.store.scan(&range, Direction::Forward, max).await? {
            let sequence = key.last_number().unwrap_or_default();
            match decode(&value).and_then(OutgoingRow::into_outgoing) {
                Ok(outgoing) => rows.push(OutboxRow { sequence, outgoing }),
                // One row that cannot be read must not keep all others from being published.
                Err(error) => {
                    error!(sequence, %error, "an outbox row cannot be read: set aside with the parked ones");
                    let aside = Batch::new().delete(key).put(Table::Parked.number(sequence), value);
                    let _ = self.store.apply(aside).await?;
                }
            }
        }
        Ok(rows)
    }

    async fn wait(&self, after: u64) {
        loop {
            let mut grew = std::pin::pin!(self.outbox_grew.notified());
            // Registered before looking, so that a row added in between is not missed.
            grew.as_mut().enable();
            if self.abandoned.swap(false, Ordering::AcqRel) && self.store.apply(Batch::new()).await.is_err() {
                return;
            }
            let range = Table::Outbox.all().after(&Table::Outbox.number(after));
            match self.store.scan(&range, Direction::Forward, 1).await {
                Ok(found) if found.is_empty() => grew.await,
                Ok(_) | Err(_) => return,
            }
        }
    }

    async fn relayed(&self, relayed: &[Relayed]) -> Result<()> {
        let mut batch = Batch::new();
        for row in relayed {
            match row {
                Relayed::Sent(sequence) => batch = batch.delete(Table::Outbox.number(*sequence)),
                Relayed::Parked(sequence, reason) => {
                    let key = Table::Outbox.number(*sequence);
                    let Some(stored) = self.store.get(&key).await? else { continue };
                    let parked = decode::<OutgoingRow>(&stored)?.refused(Some(reason.clone()));
                    batch = batch.delete(key).put(Table::Parked.number(*sequence), encode(&parked));
                }
            }
        }
        let _ = self.store.apply(batch).await?;
        Ok(())
    }
}
