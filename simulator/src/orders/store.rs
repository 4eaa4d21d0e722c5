//! A store with a visible and a durable image: what is being written, and what is there.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bus::{ClockExt, Error, ErrorKind, Result};
use bytes::Bytes;
use futures_util::FutureExt;
use services::store::{Batch, Direction, Key, MemoryStore, Range, Store, Table, Written};

use super::fault::Fault;
use super::trouble::Trouble;
use crate::gate::Gate;
use crate::node::Life;

/// How long a write and its sync take: a group commit on a fast disk.
const COMMIT: Duration = Duration::from_micros(300);

/// A disk. It outlives the processes that write to it.
#[derive(Debug, Default)]
pub(super) struct Disk {
    /// What is synced. Batches mean what they mean in the services' own specification of a store.
    durable: Mutex<Arc<MemoryStore>>,
    /// Handed in and not synced, in order.
    pending: Mutex<Pending>,
}

/// How many answered writes a crash takes back at most, on a disk that answers early.
const EARLY_COUNT: u64 = 5;

#[derive(Debug, Default)]
struct Pending {
    last_number: u64,
    batches: VecDeque<(u64, Batch)>,
    /// Answers nobody has fetched yet.
    answers: VecDeque<(u64, Written)>,
    write_count: u64,
    /// Of a disk that answers before it has synced: what it falls back to.
    fallback: Option<Arc<MemoryStore>>,
}

impl Disk {
    /// Reads what is synced.
    #[must_use]
    pub(super) fn scan(&self, range: &Range) -> Vec<(Key, Bytes)> {
        let scan = self.durable().scan(range, Direction::Forward, usize::MAX).now_or_never();
        scan.and_then(Result::ok).unwrap_or_default()
    }

    /// How many writes there were.
    pub(super) fn write_count(&self) -> u64 {
        self.pending().write_count
    }

    fn durable(&self) -> Arc<MemoryStore> {
        Arc::clone(&self.durable.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Remembers now and then what is there, as the last that was really synced.
    fn remember(&self) {
        let is_due = self.pending().write_count.is_multiple_of(EARLY_COUNT);
        if is_due {
            let copy = MemoryStore::new();
            let rows = TABLES.iter().flat_map(|table| self.scan(&table.all()));
            let batch = rows.fold(Batch::new(), |batch, (key, value)| batch.put(key, value));
            drop(copy.apply(batch).now_or_never());
            self.pending().fallback = Some(Arc::new(copy));
        }
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hand_in(&self, batch: Batch) -> u64 {
        let mut pending = self.pending();
        pending.last_number += 1;
        let number = pending.last_number;
        pending.batches.push_back((number, batch));
        number
    }

    /// Syncs everything up to batch `number`.
    fn sync(&self, number: u64) {
        let mut pending = self.pending();
        while pending.batches.front().is_some_and(|(first, _)| *first <= number) {
            let Some((first, batch)) = pending.batches.pop_front() else { return };
            pending.write_count += 1;
            if let Some(Ok(written)) = self.durable().apply(batch).now_or_never() {
                pending.answers.push_back((first, written));
            }
        }
    }

    fn answer(&self, number: u64) -> Option<Written> {
        let mut pending = self.pending();
        let place = pending.answers.iter().position(|(answered, _)| *answered == number)?;
        pending.answers.remove(place).map(|(_, written)| written)
    }

    /// The process that writes is gone: of what was not synced, the first `kept` are there and the
    /// rest never was. Answers how many were lost.
    pub(super) fn lose(&self, kept: impl FnOnce(usize) -> usize) -> usize {
        if let Some(fallback) = self.pending().fallback.take() {
            *self.durable.lock().unwrap_or_else(PoisonError::into_inner) = fallback;
        }
        let count = self.pending().batches.len();
        if count == 0 {
            return 0;
        }
        let kept = kept(count).min(count);
        let last = kept.checked_sub(1).and_then(|index| self.pending().batches.get(index).map(|(number, _)| *number));
        if let Some(last) = last {
            self.sync(last);
        }
        let mut pending = self.pending();
        pending.batches.clear();
        pending.answers.clear();
        count - kept
    }
}

/// All tables of both services.
pub(super) const TABLES: [Table; 19] = [
    Table::Sequence,
    Table::Outbox,
    Table::Parked,
    Table::Inbox,
    Table::InboxExpiry,
    Table::Orders,
    Table::OrdersById,
    Table::OrdersByStatus,
    Table::Changes,
    Table::Idempotency,
    Table::IdempotencyExpiry,
    Table::Copies,
    Table::CopiesBySequence,
    Table::Processed,
    Table::ProcessedBySequence,
    Table::Unacknowledged,
    Table::Cursor,
    Table::Books,
    Table::Totals,
];

/// The disk as one life of a service sees it.
#[derive(Debug)]
pub(super) struct StoreSeam {
    pub(super) disk: Arc<Disk>,
    pub(super) gate: Gate,
    pub(super) life: Life,
    pub(super) trouble: Trouble,
    pub(super) clock: Arc<dyn bus::Clock>,
    /// What its writes are to the dice.
    pub(super) name: String,
    /// Whether it answers before the write is synced: a bug.
    pub(super) answers_early: bool,
}

impl StoreSeam {
    async fn read_get(&self, key: &Key) -> Result<Option<Bytes>> {
        self.disk.durable().get(key).await
    }

    async fn read_scan(&self, range: &Range, direction: Direction, limit: usize) -> Result<Vec<(Key, Bytes)>> {
        self.disk.durable().scan(range, direction, limit).await
    }
}

fn unavailable(text: &str) -> Error {
    Error::new(ErrorKind::Unavailable, "store", text)
}

#[async_trait]
impl Store for StoreSeam {
    async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
        self.gate.call(&self.life, "get", "", self.read_get(key)).await
    }

    async fn scan(&self, range: &Range, direction: Direction, limit: usize) -> Result<Vec<(Key, Bytes)>> {
        self.gate.call(&self.life, "scan", "", self.read_scan(range, direction, limit)).await
    }

    async fn apply(&self, batch: Batch) -> Result<Written> {
        let name = self.name.as_str();
        let apply = async {
            let about = self.trouble.script().written(&batch);
            let at = if about.is_empty() { Cow::Borrowed(name) } else { Cow::Owned(format!("{name}, {about}")) };
            if self.trouble.strikes_at(Fault::StoreError, name, &at).is_some() {
                return Err(unavailable("the disk did not take it"));
            }
            if self.answers_early {
                self.disk.remember();
            }
            let number = self.disk.hand_in(batch);
            if let Some(length) = self.trouble.strikes_at(Fault::StoreSlow, name, &at) {
                self.clock.sleep(length).await;
            }
            self.clock.sleep(COMMIT).await;
            self.disk.sync(number);
            let answer = self.disk.answer(number);
            let is_refused = matches!(answer, Some(Written::Rejected(_)));
            self.gate.tell(if is_refused { "was too late to write" } else { "wrote" }, || [about, String::new()]);
            if self.trouble.strikes_at(Fault::StoreUnknown, name, &at).is_some() {
                return Err(unavailable("no answer"));
            }
            answer.ok_or_else(|| unavailable("the write was lost"))
        };
        self.gate.call(&self.life, "apply", name, apply).await
    }

    fn trouble(&self) -> Option<String> {
        None
    }
}
