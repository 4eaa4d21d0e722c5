//! Accepted batches that no receiver has looked at yet.
//!
//! Publishers leave whole batches here instead of taking the queue's lock, so neither side waits
//! while the other works through a batch. Receivers sort them in.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bus::Moment;

use super::state::Draft;

/// Messages accepted together.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) drafts: Vec<Draft>,
    /// When; told only where a message has a delay to count from it.
    pub(super) accepted_at: Option<Moment>,
}

/// Batches in the order of acceptance.
#[derive(Debug, Default)]
pub(super) struct Incoming {
    batches: Mutex<Vec<Batch>>,
    /// Whether a receiver has gone to sleep since the last call.
    is_awaited: AtomicBool,
}

impl Incoming {
    /// Leaves a batch. True: somebody may be asleep and has to be called.
    pub(super) fn push(&self, batch: Batch) -> bool {
        self.batches().push(batch);
        self.is_awaited.load(Ordering::SeqCst) && self.is_awaited.swap(false, Ordering::SeqCst)
    }

    /// Swaps all batches with `emptied`, whose memory is used again.
    pub(super) fn swap(&self, emptied: &mut Vec<Batch>) {
        std::mem::swap(&mut *self.batches(), emptied);
    }

    /// A receiver is about to sleep. False: it must look again, as a batch came meanwhile.
    ///
    /// A later batch finds the flag; an earlier one is found here.
    pub(super) fn may_sleep(&self) -> bool {
        self.is_awaited.store(true, Ordering::SeqCst);
        self.batches().is_empty()
    }

    fn batches(&self) -> MutexGuard<'_, Vec<Batch>> {
        self.batches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
