//! Writes of a dead process that were under way when it died, and arrive when its successor works.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bus::{Moment, Result, Seams};
use bytes::Bytes;
use services::store::{Batch, Direction, Key, Operation, Range, Store, Table, Written};

/// Longest time a write is under way.
const LATE_MAX: Duration = Duration::from_secs(45);

/// What was handed in and not answered, over all lives of a process.
#[derive(Debug, Default)]
pub(super) struct InFlight(Mutex<Writes>);

#[derive(Debug, Default)]
struct Writes {
    last_number: u64,
    /// Of the life that is.
    handed_in: BTreeMap<u64, Batch>,
    /// Of those that were, by the time they arrive.
    late: BTreeMap<(Moment, u64), Batch>,
}

impl InFlight {
    fn writes(&self) -> MutexGuard<'_, Writes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A store at the end of a long line.
#[derive(Debug)]
pub(super) struct Zombies {
    inner: Arc<dyn Store>,
    in_flight: Arc<InFlight>,
    seams: Seams,
    /// Whether a write holds only where nothing has changed since it was decided.
    is_fenced: bool,
    is_new: AtomicBool,
}

impl Zombies {
    pub(super) fn new(inner: Arc<dyn Store>, in_flight: Arc<InFlight>, seams: Seams, is_fenced: bool) -> Self {
        Self { inner, in_flight, seams, is_fenced, is_new: AtomicBool::new(true) }
    }

    /// What the last life left without an answer is under way, unless it has arrived: then its own
    /// conditions hold no longer.
    async fn look_back(&self) -> Result<()> {
        if !self.is_new.swap(false, Ordering::AcqRel) {
            return Ok(());
        }
        let left = std::mem::take(&mut self.in_flight.writes().handed_in);
        for (number, batch) in left {
            let (conditions, changes): (Vec<_>, Vec<_>) =
                batch.clone().into_iter().partition(|operation| matches!(operation, Operation::Expect { .. }));
            // Nobody looks into the outbox again for a message that comes by itself.
            let is_meant = !conditions.is_empty() && !changes.iter().any(|change| change.is_of(Table::Outbox));
            if is_meant && let Written::Applied(_) = self.inner.apply(conditions.into_iter().collect()).await? {
                let bits = self.seams.entropy.bits("late write", &number.to_string());
                let late = Duration::from_millis(u64::try_from(bits % LATE_MAX.as_millis()).unwrap_or(0));
                self.in_flight.writes().late.insert((self.seams.clock.now() + late, number), batch);
            }
        }
        Ok(())
    }

    /// Lets arrive what is due.
    async fn arrive(&self) -> Result<()> {
        self.look_back().await?;
        loop {
            let due = {
                let mut writes = self.in_flight.writes();
                let is_due = writes.late.keys().next().is_some_and(|(at, _)| *at <= self.seams.clock.now());
                if is_due { writes.late.pop_first() } else { None }
            };
            let Some((_, batch)) = due else { return Ok(()) };
            let is_kept = |operation: &Operation| self.is_fenced || !matches!(operation, Operation::Expect { .. });
            let _ = self.inner.apply(batch.into_iter().filter(is_kept).collect()).await?;
        }
    }
}

#[async_trait]
impl Store for Zombies {
    async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
        self.arrive().await?;
        self.inner.get(key).await
    }

    async fn scan(&self, range: &Range, direction: Direction, limit: usize) -> Result<Vec<(Key, Bytes)>> {
        self.arrive().await?;
        self.inner.scan(range, direction, limit).await
    }

    async fn apply(&self, batch: Batch) -> Result<Written> {
        self.arrive().await?;
        let number = {
            let mut writes = self.in_flight.writes();
            writes.last_number += 1;
            let number = writes.last_number;
            writes.handed_in.insert(number, batch.clone());
            number
        };
        let written = self.inner.apply(batch).await;
        self.in_flight.writes().handed_in.remove(&number);
        written
    }

    fn trouble(&self) -> Option<String> {
        self.inner.trouble()
    }
}
