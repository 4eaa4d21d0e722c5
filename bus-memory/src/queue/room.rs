//! Back-pressure: how full a queue is, and who waits for room.

use std::ops::{AddAssign, SubAssign};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Messages and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Load {
    pub(crate) count: usize,
    pub(crate) bytes: usize,
}

impl Load {
    /// One message.
    pub(crate) fn one(bytes: usize) -> Self {
        Self { count: 1, bytes }
    }
}

impl AddAssign for Load {
    fn add_assign(&mut self, more: Self) {
        self.count += more.count;
        self.bytes += more.bytes;
    }
}

impl SubAssign for Load {
    fn sub_assign(&mut self, less: Self) {
        self.count -= less.count;
        self.bytes -= less.bytes;
    }
}

/// The room of one queue.
///
/// A batch is admitted as soon as the queue is below its limits, and then whole: it may exceed them
/// by one batch, which its publisher holds in memory anyway, and no batch is too large to ever fit.
/// Publishers are admitted in the order they came.
#[derive(Debug)]
pub(crate) struct Room {
    max: Load,
    used: Mutex<Used>,
    /// Held by the first of those who wait: tokio's mutex is fair.
    turn: tokio::sync::Mutex<()>,
    /// Told when there may be room; only the holder of the turn listens.
    freed: Notify,
}

#[derive(Debug, Default)]
struct Used {
    load: Load,
    waiting_count: usize,
    is_closed: bool,
}

/// The queue was closed.
#[derive(Debug)]
pub(crate) struct Closed;

impl Room {
    pub(crate) fn new(count_max: usize, bytes_max: usize) -> Self {
        let max = Load { count: count_max.max(1), bytes: bytes_max.max(1) };
        Self { max, used: Mutex::default(), turn: tokio::sync::Mutex::new(()), freed: Notify::new() }
    }

    /// Waits until `need` is admitted. The room is the caller's until given back by
    /// [`release`](Self::release). Cancel-safe: a dropped call has reserved nothing.
    pub(crate) async fn reserve(&self, need: Load) -> Result<(), Closed> {
        {
            let mut used = self.used();
            if used.waiting_count == 0
                && let Some(answer) = used.admit(need, self.max)
            {
                return answer;
            }
            used.waiting_count += 1;
        }
        let _waiting = Waiting(self);
        let _turn = self.turn.lock().await;
        loop {
            let freed = self.freed.notified();
            if let Some(answer) = self.used().admit(need, self.max) {
                return answer;
            }
            freed.await;
        }
    }

    /// Reserves at most `wanted_count` messages without waiting and without knowing their bytes yet.
    pub(crate) fn reserve_some(&self, wanted_count: usize) -> usize {
        let mut used = self.used();
        if used.is_closed || used.load.bytes >= self.max.bytes {
            return 0;
        }
        let count = wanted_count.min(self.max.count.saturating_sub(used.load.count));
        used.load.count += count;
        count
    }

    /// Adds what is there in any case, such as messages found at start-up.
    pub(crate) fn add(&self, load: Load) {
        self.used().load += load;
    }

    /// Gives room back.
    pub(crate) fn release(&self, load: Load) {
        let mut used = self.used();
        used.load -= load;
        let is_awaited = used.waiting_count > 0;
        drop(used);
        if is_awaited {
            self.freed.notify_one();
        }
    }

    /// Whether the next publisher would wait.
    pub(crate) fn is_full(&self) -> bool {
        !self.used().has_room(self.max)
    }

    /// Sends everybody away, for good.
    pub(crate) fn close(&self) {
        self.used().is_closed = true;
        self.freed.notify_one();
    }

    fn used(&self) -> MutexGuard<'_, Used> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Used {
    /// `None`: there is no room.
    fn admit(&mut self, need: Load, max: Load) -> Option<Result<(), Closed>> {
        if self.is_closed {
            return Some(Err(Closed));
        }
        self.has_room(max).then(|| {
            self.load += need;
            Ok(())
        })
    }

    fn has_room(&self, max: Load) -> bool {
        self.load.count < max.count && self.load.bytes < max.bytes
    }
}

/// Somebody who waits, until dropped.
struct Waiting<'a>(&'a Room);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.used().waiting_count -= 1;
    }
}
