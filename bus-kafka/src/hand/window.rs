//! One partition: what was read of it and is not behind the watermark yet.
//!
//! A commit is a position, a settlement is of one message. The window keeps both together: offsets in
//! order, each settled or not, and the watermark before the first that is not.

use std::collections::VecDeque;
use std::ops::RangeInclusive;

use bus::Moment;

use crate::record::Record;

struct Entry {
    offset: i64,
    /// `None` once settled.
    record: Option<Record>,
    read_at: Moment,
}

/// The window of one assignment of one partition.
#[derive(Default)]
pub(crate) struct Window {
    entries: VecDeque<Entry>,
    /// After the last offset read; `None` before the first.
    next: Option<i64>,
    /// What an earlier owner has settled beyond its watermark.
    settled_before: Vec<RangeInclusive<i64>>,
    settled_count: usize,
    /// Of what is not settled.
    bytes: usize,
}

impl Window {
    pub(crate) fn after(settled_before: Vec<RangeInclusive<i64>>) -> Self {
        Self { settled_before, ..Self::default() }
    }

    /// Adds a message that was read; answers whether it is to be handed out.
    pub(crate) fn add(&mut self, offset: i64, record: Record, now: Moment) -> bool {
        if self.next.is_some_and(|next| offset < next) {
            return false;
        }
        self.next = Some(offset + 1);
        let is_settled = self.settled_before.iter().any(|range| range.contains(&offset));
        self.settled_count += usize::from(is_settled);
        self.bytes += if is_settled { 0 } else { record.size_bytes() };
        self.entries.push_back(Entry { offset, record: (!is_settled).then_some(record), read_at: now });
        self.advance();
        !is_settled
    }

    /// An unsettled record.
    pub(crate) fn record(&self, offset: i64) -> Option<&Record> {
        self.entries.get(self.place(offset)?)?.record.as_ref()
    }

    /// Settles a message for good.
    pub(crate) fn settle(&mut self, offset: i64) {
        let Some(entry) = self.place(offset).and_then(|place| self.entries.get_mut(place)) else { return };
        if let Some(record) = entry.record.take() {
            self.bytes -= record.size_bytes();
            self.settled_count += 1;
            self.advance();
        }
    }

    fn advance(&mut self) {
        while self.entries.front().is_some_and(|entry| entry.record.is_none()) {
            self.entries.pop_front();
            self.settled_count -= 1;
        }
    }

    /// Offsets are mostly without gaps, so the place is where it would be then; transactions and
    /// compaction make gaps.
    fn place(&self, offset: i64) -> Option<usize> {
        let distance = usize::try_from(offset - self.entries.front()?.offset).ok()?;
        if self.entries.get(distance).is_some_and(|entry| entry.offset == offset) {
            return Some(distance);
        }
        self.entries.binary_search_by_key(&offset, |entry| entry.offset).ok()
    }

    /// The first offset that is not settled: what is committed. `None` before anything was read.
    pub(crate) fn watermark(&self) -> Option<i64> {
        self.entries.front().map(|entry| entry.offset).or(self.next)
    }

    /// What is settled beyond the watermark, ascending.
    pub(crate) fn settled(&self) -> impl Iterator<Item = i64> + '_ {
        let read = self.entries.iter().filter(|entry| entry.record.is_none()).map(|entry| entry.offset);
        let next = self.next.unwrap_or_default();
        read.chain(self.settled_before.iter().cloned().flatten().filter(move |offset| *offset >= next))
    }

    pub(crate) fn settled_count(&self) -> usize {
        self.settled_count
    }

    /// How far reading is ahead of the watermark.
    pub(crate) fn count(&self) -> usize {
        self.entries.len()
    }

    /// How much of that is not settled.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// When the message at the watermark was read.
    pub(crate) fn oldest_read_at(&self) -> Option<Moment> {
        self.entries.front().map(|entry| entry.read_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Copier;

    fn window_of(offsets: &[i64]) -> Window {
        let mut window = Window::default();
        for offset in offsets {
            assert!(add(&mut window, *offset));
        }
        window
    }

    fn add(window: &mut Window, offset: i64) -> bool {
        let record = Copier::default().pack(b"", &[], true, b"");
        window.add(offset, record, Moment::default())
    }

    #[test]
    fn the_watermark_passes_only_what_is_settled_without_a_gap() {
        let mut window = window_of(&[10, 11, 12, 13]);
        assert_eq!(window.watermark(), Some(10));
        window.settle(12);
        window.settle(11);
        assert_eq!((window.watermark(), window.settled().collect::<Vec<_>>()), (Some(10), vec![11, 12]));
        window.settle(10);
        assert_eq!((window.watermark(), window.settled_count(), window.count()), (Some(13), 0, 1));
        window.settle(13);
        assert_eq!(window.watermark(), Some(14), "after the last one");
    }

    #[test]
    fn gaps_in_the_offsets_are_passed_over() {
        let mut window = window_of(&[10, 14, 15, 90]);
        window.settle(14);
        window.settle(90);
        assert!(window.record(14).is_none() && window.record(15).is_some() && window.record(11).is_none());
        window.settle(10);
        assert_eq!(window.watermark(), Some(15));
        window.settle(15);
        assert_eq!(window.watermark(), Some(91));
    }

    #[test]
    fn what_was_read_before_is_not_read_again() {
        let mut window = window_of(&[10, 11]);
        assert!(!add(&mut window, 11), "a repeated fetch");
        window.settle(10);
        window.settle(10);
        assert_eq!((window.watermark(), window.count()), (Some(11), 1));
    }

    #[test]
    fn what_an_earlier_owner_settled_is_not_handed_out() {
        let mut window = Window::after(vec![11..=12]);
        assert!(add(&mut window, 10));
        assert!(!add(&mut window, 11));
        assert!(!add(&mut window, 12));
        assert!(add(&mut window, 13));
        window.settle(10);
        assert_eq!(window.watermark(), Some(13));
    }

    #[test]
    fn what_an_earlier_owner_settled_stays_named_until_it_was_read() {
        let mut window = Window::after(vec![12..=13]);
        add(&mut window, 10);
        add(&mut window, 11);
        window.settle(11);
        assert_eq!(window.settled().collect::<Vec<_>>(), [11, 12, 13]);
    }

    #[test]
    fn nothing_is_committed_before_something_was_read() {
        assert_eq!(Window::default().watermark(), None);
    }
}
