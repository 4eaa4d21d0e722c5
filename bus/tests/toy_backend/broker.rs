use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bus::{Clock, Depth, Moment, Token};
use bytes::Bytes;
use tokio::sync::Notify;

/// Queues of frames. A frame that was taken is hidden for a while and comes back unless deleted.
#[derive(Debug)]
pub(crate) struct Broker {
    clock: Arc<dyn Clock>,
    queues: Mutex<Queues>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Queues {
    by_name: BTreeMap<String, BTreeMap<u64, Stored>>,
    last_number: u64,
}

#[derive(Debug)]
struct Stored {
    frame: Bytes,
    visible_at: Moment,
    receive_count: u32,
    /// Set while somebody has it.
    receipt: Option<u64>,
}

/// A frame in somebody's hand. Its receipt is good for this hand-out alone.
pub(crate) struct Taken {
    pub(crate) receipt: Token,
    pub(crate) frame: Bytes,
    pub(crate) receive_count: u32,
}

/// What this broker says no with.
#[derive(Debug)]
pub(crate) enum Fault {
    NoSuchQueue,
    StaleReceipt,
}

impl Broker {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, queues: Mutex::default(), changed: Notify::new() }
    }

    fn queues(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn create(&self, queue: &str) {
        self.queues().by_name.entry(queue.to_owned()).or_default();
    }

    pub(crate) fn put(&self, queue: &str, frame: Bytes, delay: Duration) -> Result<u64, Fault> {
        let visible_at = self.clock.now() + delay;
        let mut queues = self.queues();
        let number = queues.last_number + 1;
        let frames = queues.by_name.get_mut(queue).ok_or(Fault::NoSuchQueue)?;
        frames.insert(number, Stored { frame, visible_at, receive_count: 0, receipt: None });
        queues.last_number = number;
        self.changed.notify_waiters();
        Ok(number)
    }

    /// Waits for frames and hides them for `lease`. Dropping the call takes nothing.
    pub(crate) async fn take(&self, queue: &str, max: usize, lease: Duration) -> Result<Vec<Taken>, Fault> {
        loop {
            let changed = self.changed.notified();
            let next = match self.look(queue, max, lease)? {
                Ok(taken) => return Ok(taken),
                Err(next) => next,
            };
            tokio::select! {
                biased;
                () = changed => {}
                () = self.clock.sleep_until(next.unwrap_or_default()), if next.is_some() => {}
            }
        }
    }

    /// What is visible, or when something will be.
    fn look(&self, queue: &str, max: usize, lease: Duration) -> Result<Result<Vec<Taken>, Option<Moment>>, Fault> {
        let now = self.clock.now();
        let mut queues = self.queues();
        let mut receipt = queues.last_number;
        let frames = queues.by_name.get_mut(queue).ok_or(Fault::NoSuchQueue)?;
        let mut taken = Vec::new();
        for (slot, stored) in frames.iter_mut().filter(|(_, stored)| stored.visible_at <= now).take(max) {
            receipt += 1;
            stored.receipt = Some(receipt);
            stored.visible_at = now + lease;
            stored.receive_count += 1;
            let (frame, receive_count) = (stored.frame.clone(), stored.receive_count);
            taken.push(Taken { receipt: Token { slot: *slot, epoch: receipt }, frame, receive_count });
        }
        let next = frames.values().map(|stored| stored.visible_at).min();
        queues.last_number = receipt;
        Ok(if taken.is_empty() { Err(next) } else { Ok(taken) })
    }

    pub(crate) fn delete(&self, queue: &str, receipt: Token) -> Result<(), Fault> {
        self.with(queue, receipt, |_| ())?;
        self.queues().by_name.get_mut(queue).and_then(|frames| frames.remove(&receipt.slot));
        Ok(())
    }

    /// Hides a frame until `span` from now, still in the same hand.
    pub(crate) fn hide(&self, queue: &str, receipt: Token, span: Duration) -> Result<(), Fault> {
        let visible_at = self.clock.now() + span;
        self.with(queue, receipt, |stored| stored.visible_at = visible_at)
    }

    /// Takes a frame out of the hand and shows it after `delay`, counted as received or not.
    pub(crate) fn show(&self, queue: &str, receipt: Token, delay: Duration, counts: bool) -> Result<(), Fault> {
        let visible_at = self.clock.now() + delay;
        self.with(queue, receipt, |stored| {
            stored.visible_at = visible_at;
            stored.receipt = None;
            stored.receive_count -= u32::from(!counts);
        })
    }

    fn with(&self, queue: &str, receipt: Token, change: impl FnOnce(&mut Stored)) -> Result<(), Fault> {
        let now = self.clock.now();
        let mut queues = self.queues();
        let frames = queues.by_name.get_mut(queue).ok_or(Fault::NoSuchQueue)?;
        let stored = frames.get_mut(&receipt.slot).filter(|stored| stored.receipt == Some(receipt.epoch));
        change(stored.filter(|stored| now < stored.visible_at).ok_or(Fault::StaleReceipt)?);
        self.changed.notify_waiters();
        Ok(())
    }

    pub(crate) fn depth(&self, queue: &str) -> Result<Depth, Fault> {
        let now = self.clock.now();
        let queues = self.queues();
        let mut depth = Depth::default();
        for stored in queues.by_name.get(queue).ok_or(Fault::NoSuchQueue)?.values() {
            match (stored.visible_at <= now, stored.receipt) {
                (true, _) => depth.ready_count += 1,
                (false, None) => depth.delayed_count += 1,
                (false, Some(_)) => depth.in_flight_count += 1,
            }
        }
        Ok(depth)
    }

    pub(crate) fn purge(&self, queue: &str) -> Result<(), Fault> {
        let now = self.clock.now();
        let mut queues = self.queues();
        let frames = queues.by_name.get_mut(queue).ok_or(Fault::NoSuchQueue)?;
        frames.retain(|_, stored| now < stored.visible_at && stored.receipt.is_some());
        Ok(())
    }
}
