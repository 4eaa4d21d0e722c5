//! A message and where it is in its life on one queue.

use std::hash::Hasher;
use std::num::NonZeroU64;

use bus::{Message, MessageKey, Moment};
use rustc_hash::FxHasher;

use crate::ledger::Row;

/// One message on one queue. Small tokens name it: its index and the epoch of its hand-out.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) message: Message,
    /// Its size as limits count it, kept because headers would have to be walked for it.
    pub(crate) bytes: usize,
    /// Its place among the messages of the queue.
    pub(crate) sequence: u64,
    pub(crate) lane: LaneKey,
    /// Where it is kept on disk.
    pub(crate) row: Row,
    pub(crate) place: Place,
    pub(crate) receive_count: u32,
}

/// Where a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// To be handed out, or parked behind another message of its key.
    Ready,
    /// Given back with a delay that has not passed; messages of its key wait behind it.
    Away,
    /// With a receiver.
    InFlight(HandOut),
}

/// Which receiver has a message, and on what terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HandOut {
    /// Unique among all hand-outs of the queue, so an old token never fits a new hand-out.
    pub(crate) epoch: u64,
    pub(crate) consumer: u32,
    /// Whether the lease is kept among the irregular ones.
    pub(crate) is_irregular: bool,
    pub(crate) since: Moment,
    pub(crate) deadline: Option<Moment>,
}

impl Slot {
    pub(crate) fn hand_out(&self) -> Option<&HandOut> {
        match &self.place {
            Place::InFlight(hand_out) => Some(hand_out),
            Place::Ready | Place::Away => None,
        }
    }

    /// Whether it is in flight under exactly this epoch and deadline.
    pub(crate) fn is_leased(&self, epoch: u64, deadline: Moment) -> bool {
        self.hand_out().is_some_and(|found| found.epoch == epoch && found.deadline == Some(deadline))
    }
}

/// The hash of a message key; `None` for a message without one.
///
/// Two keys of one hash share a lane, which delays one behind the other and breaks no order; so the
/// text of the key is neither kept nor compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LaneKey(pub(crate) Option<NonZeroU64>);

impl LaneKey {
    pub(crate) fn of(key: Option<&MessageKey>) -> Self {
        Self(key.map(|key| {
            let mut hasher = FxHasher::default();
            hasher.write(key.as_str().as_bytes());
            NonZeroU64::new(hasher.finish()).unwrap_or(NonZeroU64::MAX)
        }))
    }
}
