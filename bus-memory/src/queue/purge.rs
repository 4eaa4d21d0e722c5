//! Emptying a queue of what nobody holds.

use bus::Message;

use super::room::Load;
use super::slot::Place;
use super::state::{Draft, State};
use crate::ledger::Row;

/// What was removed, and what is left to do outside the queue's lock.
#[derive(Debug, Default)]
pub(crate) struct Purged {
    /// To be freed.
    pub(crate) messages: Vec<Message>,
    /// Rows of the ledger that are not needed any more.
    pub(crate) spent: Vec<Row>,
    /// What they took.
    pub(crate) freed: Load,
}

impl Purged {
    fn add(&mut self, message: Message, row: Row, bytes: usize) {
        self.messages.push(message);
        if row != Row::default() {
            self.spent.push(row);
        }
        self.freed += Load::one(bytes);
    }
}

impl State {
    /// Removes what is ready, parked or delayed; what is in flight stays with its receiver.
    pub(crate) fn purge(&mut self) -> Purged {
        let mut purged = Purged::default();
        let delayed = std::mem::take(&mut self.delayed).into_values();
        let fresh = std::iter::from_fn(|| self.ready.pop_fresh());
        for Draft { message, row, bytes, .. } in fresh.chain(delayed) {
            purged.add(message, row, bytes);
        }
        while self.ready.pop_returned().is_some() {}
        self.away.clear();
        let waiting = self.slots.iter().filter(|(_, slot)| matches!(slot.place, Place::Ready | Place::Away));
        let waiting: Vec<usize> = waiting.map(|(place, _)| place).collect();
        for place in waiting {
            let slot = self.slots.remove(place);
            if let (Some(lanes), Some(key)) = (&mut self.lanes, slot.lane.0) {
                lanes.forget(key, slot.sequence);
            }
            purged.add(slot.message, slot.row, slot.bytes);
        }
        purged
    }
}
