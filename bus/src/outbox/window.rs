//! The rows a relay has read and not yet seen accepted, in lanes by key.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::{MessageKey, Moment};

use super::OutboxRow;

/// Rows of one key wait behind each other; a row without a key waits behind nothing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum LaneName {
    Keyed(MessageKey),
    Alone(u64),
}

#[derive(Default)]
struct Lane {
    rows: VecDeque<OutboxRow>,
    failure_count: u32,
    retry_at: Option<Moment>,
}

#[derive(Default)]
pub(super) struct Window {
    lanes: BTreeMap<LaneName, Lane>,
    /// Lanes by the sequence of their head, so that the oldest goes first.
    heads: BTreeMap<u64, LaneName>,
    /// Keys behind a parked row: their rows stay in the store.
    parked: BTreeSet<MessageKey>,
    row_count: usize,
    /// The highest sequence read.
    read_to: u64,
}

impl Window {
    pub(super) fn row_count(&self) -> usize {
        self.row_count
    }

    pub(super) fn read_to(&self) -> u64 {
        self.read_to
    }

    /// Takes rows just read, in sequence order.
    pub(super) fn add(&mut self, rows: Vec<OutboxRow>) {
        for row in rows {
            self.read_to = self.read_to.max(row.sequence);
            let name = match row.outgoing.message().key() {
                Some(key) if self.parked.contains(key) => continue,
                Some(key) => LaneName::Keyed(key.clone()),
                None => LaneName::Alone(row.sequence),
            };
            let lane = self.lanes.entry(name.clone()).or_default();
            if lane.rows.is_empty() {
                self.heads.insert(row.sequence, name);
            }
            lane.rows.push_back(row);
            self.row_count += 1;
        }
    }

    /// Rows that may be published now, oldest lanes first: each lane's head, or where the bus
    /// accepts batches atomically as much of the lane as fits.
    pub(super) fn wave(&self, now: Moment, max: usize, atomic: bool) -> Vec<(LaneName, OutboxRow)> {
        let mut wave = Vec::new();
        for name in self.heads.values() {
            let Some(lane) = self.lanes.get(name) else { continue };
            if lane.retry_at.is_some_and(|at| now < at) {
                continue;
            }
            let depth = if atomic { max } else { 1 };
            let room = max - wave.len();
            wave.extend(lane.rows.iter().take(depth.min(room)).map(|row| (name.clone(), row.clone())));
            if wave.len() >= max {
                break;
            }
        }
        wave
    }

    /// The earliest retry.
    pub(super) fn due(&self) -> Option<Moment> {
        self.lanes.values().filter_map(|lane| lane.retry_at).min()
    }

    /// The lane's head was accepted: the next row is the head.
    pub(super) fn accepted(&mut self, name: &LaneName, sequence: u64) {
        let Some(lane) = self.lanes.get_mut(name) else { return };
        if lane.rows.front().is_none_or(|row| row.sequence != sequence) {
            return;
        }
        lane.rows.pop_front();
        (lane.failure_count, lane.retry_at) = (0, None);
        self.row_count -= 1;
        self.heads.remove(&sequence);
        match lane.rows.front() {
            Some(next) => {
                self.heads.insert(next.sequence, name.clone());
            }
            None => {
                self.lanes.remove(name);
            }
        }
    }

    /// The lane's head was not accepted: how often that has happened in a row.
    pub(super) fn failed(&mut self, name: &LaneName, retry_at: impl FnOnce(u32) -> Moment) {
        if let Some(lane) = self.lanes.get_mut(name) {
            lane.failure_count = lane.failure_count.saturating_add(1);
            lane.retry_at = Some(retry_at(lane.failure_count));
        }
    }

    /// The lane's head is refused for good: rows behind it wait in the store, other lanes pass.
    pub(super) fn park(&mut self, name: LaneName) {
        if let Some(lane) = self.lanes.remove(&name) {
            self.row_count -= lane.rows.len();
            if let Some(head) = lane.rows.front() {
                self.heads.remove(&head.sequence);
            }
        }
        if let LaneName::Keyed(key) = name {
            self.parked.insert(key);
        }
    }
}
