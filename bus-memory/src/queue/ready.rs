//! What can be handed out, in order.
//!
//! A message gets its sequence when it is first looked at, and a slot with it. Until then it stays
//! in the batch it came with: a long queue costs no more than its messages, and what receivers work
//! on stays small and warm. So everything that was put back comes before everything fresh.

use std::collections::{BTreeMap, VecDeque};
use std::vec::IntoIter;

use super::state::Draft;

/// Messages put back, by sequence, and batches nobody has looked at.
#[derive(Debug, Default)]
pub(super) struct Ready {
    returned: BTreeMap<u64, u32>,
    fresh: VecDeque<IntoIter<Draft>>,
    fresh_count: usize,
}

impl Ready {
    /// Appends a batch.
    pub(super) fn append(&mut self, drafts: Vec<Draft>) {
        self.fresh_count += drafts.len();
        self.fresh.push_back(drafts.into_iter());
    }

    /// Puts a message back at its place.
    pub(super) fn put_back(&mut self, sequence: u64, slot: u32) {
        self.returned.insert(sequence, slot);
    }

    /// Takes the first message that was put back.
    pub(super) fn pop_returned(&mut self) -> Option<(u64, u32)> {
        self.returned.pop_first()
    }

    /// Takes the first fresh message.
    pub(super) fn pop_fresh(&mut self) -> Option<Draft> {
        loop {
            if let Some(draft) = self.fresh.front_mut()?.next() {
                self.fresh_count -= 1;
                return Some(draft);
            }
            self.fresh.pop_front();
        }
    }

    pub(super) fn count(&self) -> usize {
        self.fresh_count + self.returned.len()
    }

    pub(super) fn fresh_count(&self) -> usize {
        self.fresh_count
    }
}
