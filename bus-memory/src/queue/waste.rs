//! Settled messages on their way back to the thread that made them.
//!
//! An allocator is slow at freeing what another thread allocated: with glibc, publisher and receiver
//! spent half their time waiting for each other's arena. So settled messages are left here, and the
//! next publisher frees them. What is more than a little is freed at once.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bus::Message;

use super::room::Load;

/// The most bytes of settled messages kept per queue: 1 MiB, about two prefetches of 2 KiB messages.
const BYTES_MAX: usize = 1024 * 1024;

/// Settled messages, to be freed.
#[derive(Debug, Default)]
pub(super) struct Waste(Mutex<Heap>);

#[derive(Debug, Default)]
struct Heap {
    messages: Vec<Message>,
    bytes: usize,
}

impl Waste {
    /// Leaves messages that took `load`, or frees them.
    pub(super) fn leave(&self, mut messages: Vec<Message>, load: Load) {
        let mut heap = self.heap();
        if heap.bytes + load.bytes <= BYTES_MAX {
            heap.bytes += load.bytes;
            heap.messages.append(&mut messages);
        }
        drop(heap);
    }

    /// Frees what was left.
    pub(super) fn free(&self) {
        // Taken out first: the lock is not held while they are freed.
        let heap = std::mem::take(&mut *self.heap());
        drop(heap);
    }

    fn heap(&self) -> MutexGuard<'_, Heap> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
