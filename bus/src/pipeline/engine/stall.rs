//! Keys whose head could be settled neither one way nor the other.
//!
//! When a settlement fails the message may stay ours until its lease ends. A bus may hand us later
//! messages of its key meanwhile, as all before them are settled or ours. So its lane stays closed:
//! followers wait until the message comes again, or go back behind it once its lease has ended.

use std::collections::BTreeMap;

use crate::{MessageId, MessageKey, Moment, Token};

use super::Engine;

/// A message that was not settled.
pub(super) struct Stall {
    pub(super) message_id: MessageId,
    /// Its delivery.
    pub(super) token: Token,
    /// When its lease ends.
    pub(super) until: Moment,
}

/// At most one for each key, and none for longer than a lease.
#[derive(Default)]
pub(super) struct Stalls(BTreeMap<MessageKey, Stall>);

impl Stalls {
    /// When the first of them is over.
    pub(super) fn first(&self) -> Option<Moment> {
        self.0.values().map(|stall| stall.until).min()
    }
}

impl Engine<'_> {
    /// Keeps the lane of `key` closed behind a message that was not settled.
    pub(super) fn stall(&mut self, key: MessageKey, stall: Stall) {
        self.stalls.0.insert(key, stall);
    }

    /// Whether this is the message that a lane was kept closed for: it is the head again.
    pub(super) fn ends_stall(&mut self, key: &MessageKey, message_id: &MessageId) -> bool {
        let is_awaited = self.stalls.0.get(key).is_some_and(|stall| stall.message_id == *message_id);
        is_awaited && self.stalls.0.remove(key).is_some()
    }

    /// Gives back what waits behind messages whose leases have ended: they come first now.
    pub(super) fn end_stalls(&mut self, is_over: impl Fn(&Stall) -> bool) {
        let over: Vec<(MessageKey, Stall)> = self.stalls.0.extract_if(.., |_, stall| is_over(stall)).collect();
        for (key, stall) in over {
            self.return_followers(&key);
            self.recall(key, stall.message_id);
        }
    }
}
