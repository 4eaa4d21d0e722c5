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

use super::commits::{is_count, watched};
use super::fault::Fault;
use super::trouble::Trouble;
use super::watch::Watch;
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
    watch: Watch,
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
    /// An empty disk, whose writes are watched.
    pub(super) fn new(watch: &Watch) -> Arc<Self> {
        Arc::new(Self { watch: watch.clone(), ..Self::default() })
    }

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

    /// From now on it answers before it has synced: a crash takes it back to what it then was, or was later
    /// at every so many writes.
    pub(super) fn answer_early(&self) {
        self.pending().fallback = Some(self.copy());
    }

    fn copy(&self) -> Arc<MemoryStore> {
        let copy = MemoryStore::new();
        let rows = Table::ALL.iter().flat_map(|table| self.scan(&table.all()));
        let batch = rows.fold(Batch::new(), |batch, (key, value)| batch.put(key, value));
        drop(copy.apply(batch).now_or_never());
        Arc::new(copy)
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
            let rows = watched(&batch);
            if let Some(Ok(written)) = self.durable().apply(batch).now_or_never() {
                if matches!(written, Written::Applied(_)) {
                    self.watch.committed(rows);
                }
                pending.answers.push_back((first, written));
            }
            if pending.fallback.is_some() && pending.write_count.is_multiple_of(EARLY_COUNT) {
                pending.fallback = Some(self.copy());
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
            let is_count = is_count(&batch);
            let strikes = |fault| {
                let length = self.trouble.strikes_at(fault, name, &at)?;
                if is_count {
                    self.disk.watch.disturbed();
                }
                Some(length)
            };
            if strikes(Fault::StoreError).is_some() {
                return Err(unavailable("the disk did not take it"));
            }
            let number = self.disk.hand_in(batch);
            if let Some(length) = strikes(Fault::StoreSlow) {
                self.clock.sleep(length).await;
            }
            self.clock.sleep(COMMIT).await;
            self.disk.sync(number);
            let answer = self.disk.answer(number);
            let is_refused = matches!(answer, Some(Written::Rejected(_)));
            self.gate.tell(if is_refused { "was too late to write" } else { "wrote" }, || [about, String::new()]);
            if strikes(Fault::StoreUnknown).is_some() {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_answers_early_loses_some_of_its_last_writes_and_nothing_of_any_table_before() {
        let disk = Disk::new(&Watch::default());
        let hand_in = |table: Table, part: &str| disk.hand_in(Batch::new().put(table.key(part), ""));
        let before = Table::ALL.iter().map(|table| hand_in(*table, "before")).max();
        disk.sync(before.expect("there are tables"));
        disk.answer_early();
        let last = (0..3 * EARLY_COUNT - 1).map(|number| hand_in(Table::Orders, &number.to_string())).max();
        disk.sync(last.expect("there are some"));
        assert_eq!(disk.lose(|_| 0), 0, "all were synced, as far as anybody knew");
        let count = |table: Table| disk.scan(&table.all()).len();
        assert_eq!(count(Table::Orders), 1 + 2 * EARLY_COUNT as usize, "{} are gone", EARLY_COUNT - 1);
        let emptied = Table::ALL.iter().find(|table| count(**table) == 0);
        assert_eq!(emptied, None);
    }
}
