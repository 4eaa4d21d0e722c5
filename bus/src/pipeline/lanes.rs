//! Messages of one key, one after the other.

use std::collections::VecDeque;
use std::collections::hash_map::Entry;

use rustc_hash::FxHashMap;

use crate::MessageKey;

/// One lane per key that has a delivery between its start and the answer to its settlement.
///
/// The map is looked up, never iterated: its order cannot be observed.
#[derive(Debug, Default)]
pub(super) struct Lanes(FxHashMap<MessageKey, VecDeque<usize>>);

impl Lanes {
    /// Opens the lane of `key` for a head; `false` when it has one already.
    pub(super) fn enter(&mut self, key: &MessageKey) -> bool {
        match self.0.entry(key.clone()) {
            Entry::Occupied(_) => false,
            Entry::Vacant(lane) => {
                lane.insert(VecDeque::new());
                true
            }
        }
    }

    /// Queues a follower (its place in the hand) behind the head of `key`.
    pub(super) fn queue(&mut self, key: &MessageKey, place: usize) {
        self.0.entry(key.clone()).or_default().push_back(place);
    }

    /// The head is settled for good: its first follower becomes the head, or the lane closes.
    pub(super) fn advance(&mut self, key: &MessageKey) -> Option<usize> {
        let next = self.0.get_mut(key)?.pop_front();
        if next.is_none() {
            self.0.remove(key);
        }
        next
    }

    /// The head went back: its followers must go back behind it.
    pub(super) fn abandon(&mut self, key: &MessageKey) -> VecDeque<usize> {
        self.0.remove(key).unwrap_or_default()
    }

    /// The followers of `key` go back, while its head stays.
    pub(super) fn clear(&mut self, key: &MessageKey) -> VecDeque<usize> {
        self.0.get_mut(key).map(std::mem::take).unwrap_or_default()
    }

    /// A follower left the lane (its lease was lost): those behind it must go back, or overtake it.
    pub(super) fn leave(&mut self, key: &MessageKey, place: usize) -> VecDeque<usize> {
        let Some(followers) = self.0.get_mut(key) else { return VecDeque::new() };
        let at = followers.iter().position(|known| *known == place).unwrap_or(followers.len());
        let mut behind = followers.split_off(at);
        behind.pop_front();
        behind
    }
}
