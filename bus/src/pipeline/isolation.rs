//! Messages that fail their last attempt, and the keys behind them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::{Capability, Error, ErrorKind, MessageId, MessageKey, Result};

/// Isolated messages remembered per pipeline.
const REMEMBERED_COUNT_MAX: usize = 10_000;

/// What becomes of a message that has failed its last attempt, and of its key.
///
/// Only of such a message: one that its handler *rejects* was decided about. It goes to the dead
/// letters under every policy, and its key goes on.
///
/// Park and stop need order per key from the bus
/// ([`Order::PerKey`](crate::capability::Order::PerKey)) and from
/// [`Policy::order_per_key`](super::Policy::order_per_key). Without either, and for a message
/// without a key, they concern the one message alone: parked, it is a dead letter like any other;
/// stopped, it is tried again and again while all others pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Poison {
    /// To the dead letters; its key goes on without it. Right where messages of a key do not build
    /// on each other.
    #[default]
    Skip,
    /// To the dead letters, and later messages of its key after it, unprocessed and in order, each
    /// with a reason that names it. Replayed in order they take up where they left off: the key goes
    /// on once the message comes again under the same id and succeeds or is rejected, or with
    /// [`PipelineControl::unpark`](super::PipelineControl::unpark). Needs a bus with dead letters.
    ///
    /// Parked keys are remembered in this process, the latest 10,000 of them: after a restart, and
    /// in other consumers of the subscription, the key goes on.
    Park,
    /// It is never given up, and its key stands still: it is tried again after the longest delay of
    /// [`Policy::retry`](super::Policy::retry), always as the last attempt. Needs a bus that delays
    /// nacks; where that is for less than the longest delay, after as long as it can. A limit that the
    /// broker itself has on receiving a message would bury it all the same: configure none.
    ///
    /// A message whose last start was never answered (its handler may have ended the process) first
    /// waits for that delay too, once in each process, so that other keys pass.
    Stop,
}

impl Poison {
    /// Refuses what this bus cannot carry out.
    pub(super) fn require(self, bus: &Capability) -> Result<()> {
        let message = match self {
            Self::Park if !bus.dead_letters => "this bus keeps no dead letters to park a key in: choose Poison::Stop",
            Self::Stop if bus.nack_delay_max.is_none() => {
                "this bus cannot delay a nack, so a stopped message would come again at once: choose Poison::Park"
            }
            Self::Skip | Self::Park | Self::Stop => return Ok(()),
        };
        Err(Error::new(ErrorKind::Unsupported, "subscribe", message))
    }
}

/// A message that has failed its last attempt and is not done with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Isolated {
    /// What became of it.
    pub isolation: Isolation,
    /// Which message.
    pub message_id: MessageId,
    /// Its key; with order per key all later messages of the key share its lot.
    pub key: Option<MessageKey>,
    /// How its last attempt failed.
    pub reason: String,
}

/// What became of a message that has failed its last attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// It is in the dead letters, and later messages of its key follow it: [`Poison::Park`].
    Parked,
    /// It is tried again and again: [`Poison::Stop`].
    Stopped,
}

/// What stands still together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Lot {
    Key(MessageKey),
    Message(MessageId),
}

/// Everything isolated, at most one message per lot.
#[derive(Debug, Default)]
pub(super) struct Isolations {
    isolated: BTreeMap<Lot, Isolated>,
    oldest_first: VecDeque<Lot>,
}

impl Isolations {
    /// The parked message that later ones of `key` follow.
    pub(super) fn parked(&self, key: &MessageKey) -> Option<&Isolated> {
        if self.isolated.is_empty() { None } else { self.isolated.get(&Lot::Key(key.clone())) }
    }

    /// Parks a key. Returns the key that was forgotten for it, where there were too many.
    pub(super) fn park(&mut self, key: MessageKey, parked: Isolated) -> Option<Isolated> {
        self.insert(Lot::Key(key), parked);
        if self.isolated.len() <= REMEMBERED_COUNT_MAX {
            return None;
        }
        let oldest = self.oldest_first.pop_front()?;
        self.isolated.remove(&oldest)
    }

    /// Notes a stopped message, where there is space: the list serves to look at, not to decide.
    pub(super) fn stop(&mut self, lot: Lot, stopped: Isolated) {
        if !self.is_full() || self.isolated.contains_key(&lot) {
            self.insert(lot, stopped);
        }
    }

    /// Whether this message is known to be stopped.
    pub(super) fn is_stopped(&self, lot: &Lot, message_id: &MessageId) -> bool {
        self.isolated.get(lot).is_some_and(|isolated| isolated.message_id == *message_id)
    }

    pub(super) fn is_full(&self) -> bool {
        self.isolated.len() >= REMEMBERED_COUNT_MAX
    }

    /// A message is done with. Returns what that ended.
    ///
    /// Those behind a parked message are done with before it; nothing is done before a stopped one,
    /// so that one is over too, by another consumer's hand.
    pub(super) fn done(&mut self, lot: &Lot, message_id: &MessageId) -> Option<Isolated> {
        let isolated = self.isolated.get(lot)?;
        let is_over = isolated.isolation == Isolation::Stopped || isolated.message_id == *message_id;
        if is_over { self.remove(lot) } else { None }
    }

    pub(super) fn unpark(&mut self, key: &MessageKey) -> bool {
        let lot = Lot::Key(key.clone());
        let is_parked = self.isolated.get(&lot).is_some_and(|isolated| isolated.isolation == Isolation::Parked);
        is_parked && self.remove(&lot).is_some()
    }

    fn insert(&mut self, lot: Lot, isolated: Isolated) {
        if self.isolated.insert(lot.clone(), isolated).is_none() {
            self.oldest_first.push_back(lot);
        }
    }

    fn remove(&mut self, lot: &Lot) -> Option<Isolated> {
        self.oldest_first.retain(|known| known != lot);
        self.isolated.remove(lot)
    }
}

/// What the pipeline, its status and its control share.
#[derive(Clone, Debug, Default)]
pub(super) struct SharedIsolations(Arc<Mutex<Isolations>>);

impl SharedIsolations {
    pub(super) fn lock(&self) -> MutexGuard<'_, Isolations> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn list(&self) -> Vec<Isolated> {
        self.lock().isolated.values().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: usize) -> MessageKey {
        MessageKey::new(&format!("key-{number}")).unwrap()
    }

    fn isolated(isolation: Isolation, number: usize) -> Isolated {
        let message_id = MessageId::parse(&format!("m{number}")).unwrap();
        Isolated { isolation, message_id, key: Some(key(number)), reason: "broken".to_owned() }
    }

    #[test]
    fn the_oldest_parked_key_is_forgotten_for_the_newest() {
        let mut isolations = Isolations::default();
        for number in 0..REMEMBERED_COUNT_MAX {
            assert_eq!(isolations.park(key(number), isolated(Isolation::Parked, number)), None);
        }
        assert_eq!(isolations.park(key(1), isolated(Isolation::Parked, 1)), None, "it is known already");
        let newest = REMEMBERED_COUNT_MAX;
        let forgotten = isolations.park(key(newest), isolated(Isolation::Parked, newest));
        assert_eq!(forgotten, Some(isolated(Isolation::Parked, 0)));
        assert!(isolations.parked(&key(0)).is_none() && isolations.parked(&key(newest)).is_some());
        assert_eq!(isolations.isolated.len(), isolations.oldest_first.len());
    }

    #[test]
    fn a_full_list_takes_no_more_stopped_messages() {
        let mut isolations = Isolations::default();
        for number in 0..=REMEMBERED_COUNT_MAX {
            isolations.stop(Lot::Key(key(number)), isolated(Isolation::Stopped, number));
        }
        assert_eq!((isolations.isolated.len(), isolations.is_full()), (REMEMBERED_COUNT_MAX, true));
        let first = Lot::Key(key(0));
        assert!(isolations.done(&first, &MessageId::parse("m0").unwrap()).is_some() && !isolations.is_full());
    }

    #[test]
    fn a_parked_key_waits_for_its_first_message_and_a_stopped_one_for_any() {
        let other = MessageId::parse("other").unwrap();
        for (isolation, is_over) in [(Isolation::Parked, false), (Isolation::Stopped, true)] {
            let mut isolations = Isolations::default();
            let lot = Lot::Key(key(1));
            isolations.insert(lot.clone(), isolated(isolation, 1));
            assert_eq!(isolations.done(&lot, &other).is_some(), is_over, "{isolation:?}");
        }
    }
}
