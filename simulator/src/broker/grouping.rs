//! Which of the waiting messages go out.

use std::collections::{BTreeMap, BTreeSet};

use bus::Moment;

use super::Selection;
use super::queue::{Entry, Queue};

impl Queue {
    /// The places of at most `room` messages for `member`, in order.
    pub(super) fn choose(&self, member: u64, room: usize, now: Moment, selection: Selection) -> Vec<u64> {
        let waits = |entry: &Entry| entry.hold.is_none() && entry.settled_by.is_none() && entry.visible_at <= now;
        match selection {
            // Scattered when they arrived; what was given back keeps its place and so comes first.
            Selection::Scattered | Selection::Queued => {
                let waiting = self.entries.iter().filter(|(_, entry)| waits(entry));
                waiting.map(|(place, _)| *place).take(room).collect()
            }
            Selection::Grouped => {
                let is_out = |entry: &Entry| entry.hold.is_some();
                self.in_lanes(room, now, &|_| true, &is_out, &|_| false)
            }
            Selection::Partitioned { .. } => {
                let readers: Vec<u64> =
                    self.members.iter().filter(|(_, reader)| !reader.is_stopped).map(|(number, _)| *number).collect();
                let is_own = |entry: &Entry| {
                    let index = usize::try_from(entry.partition).unwrap_or(0) % readers.len().max(1);
                    readers.get(index) == Some(&member)
                };
                let is_elsewhere = |entry: &Entry| entry.hold.is_some_and(|hold| hold.member != member);
                let is_ours = |entry: &Entry| entry.hold.is_some_and(|hold| hold.member == member);
                self.in_lanes(room, now, &is_own, &is_elsewhere, &is_ours)
            }
        }
    }

    /// In order per key: nothing behind what is due later, or what `blocks`; nothing of a key of which
    /// something later is out already.
    fn in_lanes(
        &self,
        room: usize,
        now: Moment,
        is_own: &dyn Fn(&Entry) -> bool,
        blocks: &dyn Fn(&Entry) -> bool,
        passes: &dyn Fn(&Entry) -> bool,
    ) -> Vec<u64> {
        let mut blocked: BTreeSet<u64> = BTreeSet::new();
        let mut last_out: BTreeMap<u64, u64> = BTreeMap::new();
        for (place, entry) in self.entries.iter().filter(|(_, entry)| entry.hold.is_some()) {
            last_out.insert(entry.lane, *place);
            if blocks(entry) {
                blocked.insert(entry.lane);
            }
        }
        let mut chosen = Vec::new();
        for (place, entry) in &self.entries {
            if chosen.len() == room {
                break;
            }
            if entry.settled_by.is_some() || passes(entry) || blocked.contains(&entry.lane) {
                continue;
            }
            let is_overtaken = last_out.get(&entry.lane).is_some_and(|out| out > place);
            if entry.hold.is_some() || entry.visible_at > now || is_overtaken || !is_own(entry) {
                blocked.insert(entry.lane);
            } else {
                chosen.push(*place);
            }
        }
        chosen
    }
}
