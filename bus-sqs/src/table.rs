//! What a receiver has in hand, and until when: our own clock of leases.
//!
//! A delete that comes too late "succeeds" on a standard queue and does nothing, so the server
//! cannot be asked whether a delivery is still ours. Deadlines are counted from before the call
//! that prolonged the lease, and those of a receive from when its poll can have handed out last, so
//! they end here no later than there.

use std::time::Duration;

use bus::{Message, Moment, Token};
use slab::Slab;

use crate::config::LEASE_TOTAL_MAX;
use crate::publish::whole_seconds;

/// Kept off the cap: the longest poll, and as much again as a call may take.
const CAP_MARGIN: Duration = Duration::from_secs(30);

/// One delivery.
#[derive(Debug)]
pub(crate) struct Held {
    epoch: u64,
    pub(crate) receipt: String,
    pub(crate) message: Message,
    pub(crate) receive_count: Option<u32>,
    pub(crate) deadline: Moment,
    /// When SQS ends it whatever happens: 12 hours after it was handed out, with a margin for what
    /// is not known of that moment. An extension beyond it would be refused and not cut short.
    pub(crate) cap: Moment,
}

impl Held {
    /// How many seconds from `now` SQS is asked to hide it for, so that the cap is never passed: SQS
    /// refuses what would. `None`: the cap is there.
    pub(crate) fn extension_seconds(&self, by: Duration, now: Moment) -> Option<i32> {
        let left_seconds = i32::try_from(self.cap.since(now).as_secs()).unwrap_or(i32::MAX);
        (left_seconds > 1).then(|| whole_seconds(by).min(left_seconds))
    }
}

/// All deliveries of one receiver that are not settled, buffered ones included.
#[derive(Debug, Default)]
pub(crate) struct Table {
    slots: Slab<Held>,
    last_epoch: u64,
    lost: Vec<Token>,
}

impl Table {
    /// Adds a delivery handed out at `received` or up to a long poll before.
    pub(crate) fn add(
        &mut self,
        receipt: String,
        message: Message,
        receive_count: Option<u32>,
        received: Moment,
        deadline: Moment,
    ) -> Token {
        self.last_epoch += 1;
        let epoch = self.last_epoch;
        let cap = received + (LEASE_TOTAL_MAX - CAP_MARGIN);
        let slot = self.slots.insert(Held { epoch, receipt, message, receive_count, deadline, cap });
        Token { slot: slot as u64, epoch }
    }

    /// A delivery that is still ours at `now`.
    pub(crate) fn get(&mut self, token: Token, now: Moment) -> Option<&mut Held> {
        let slot = usize::try_from(token.slot).ok()?;
        self.slots.get_mut(slot).filter(|held| held.epoch == token.epoch && held.deadline > now)
    }

    /// Takes a delivery out that is still ours at `now`.
    pub(crate) fn take(&mut self, token: Token, now: Moment) -> Option<Held> {
        self.get(token, now)?;
        self.slots.try_remove(usize::try_from(token.slot).ok()?)
    }

    /// Takes everything out, in the order of receipt, and counts it as lost.
    pub(crate) fn take_all(&mut self) -> Vec<Held> {
        self.lose(|_| true)
    }

    /// Removes deliveries whose lease has ended and keeps their names for [`take_lost`](Self::take_lost).
    pub(crate) fn expire(&mut self, now: Moment) {
        self.lose(|held| held.deadline <= now);
    }

    fn lose(&mut self, is_lost: impl Fn(&Held) -> bool) -> Vec<Held> {
        let lost = self.slots.iter().filter(|(_, held)| is_lost(held));
        let mut places: Vec<(u64, usize)> = lost.map(|(slot, held)| (held.epoch, slot)).collect();
        // By epoch, which is the order of receipt: slots are numbered by accident.
        places.sort_unstable();
        let named = places.iter().map(|(epoch, slot)| Token { slot: *slot as u64, epoch: *epoch });
        self.lost.extend(named);
        places.into_iter().map(|(_, slot)| self.slots.remove(slot)).collect()
    }

    /// The names of deliveries lost since the last call.
    pub(crate) fn take_lost(&mut self) -> Vec<Token> {
        std::mem::take(&mut self.lost)
    }

    /// When the next lease ends.
    pub(crate) fn next_end(&self) -> Option<Moment> {
        self.slots.iter().map(|(_, held)| held.deadline).min()
    }

    pub(crate) fn count(&self) -> usize {
        self.slots.len()
    }
}

#[cfg(test)]
mod tests {
    use bus::MessageId;

    use super::*;

    fn at(second: u64) -> Moment {
        Moment::from_origin(Duration::from_secs(second))
    }

    fn add(table: &mut Table, name: &str, deadline: u64) -> Token {
        let message = Message::new(MessageId::parse(name).expect("legal"), &b""[..]);
        table.add(name.to_owned(), message, Some(1), at(0), at(deadline))
    }

    #[test]
    fn a_lease_is_over_at_its_deadline_and_named_once() {
        let mut table = Table::default();
        let (short, long) = (add(&mut table, "short", 5), add(&mut table, "long", 9));
        assert!(table.get(short, at(4)).is_some());
        assert!(table.take(short, at(5)).is_none(), "at its end it is over");
        table.expire(at(5));
        assert_eq!((table.take_lost(), table.take_lost()), (vec![short], vec![]));
        assert_eq!((table.next_end(), table.count()), (Some(at(9)), 1));
        assert_eq!(table.take(long, at(6)).map(|held| held.receipt), Some("long".to_owned()));
    }

    #[test]
    fn an_extension_is_cut_at_twelve_hours_and_capped_once_they_are_there() {
        let mut table = Table::default();
        let token = add(&mut table, "long", 13 * 3_600);
        let held = table.get(token, at(1)).expect("ours");
        let cap = held.cap.since_origin().as_secs();
        assert!(cap <= 12 * 3_600, "never beyond what SQS allows: {cap} s");
        let half_an_hour = Duration::from_secs(1_800);
        assert_eq!(held.extension_seconds(half_an_hour, at(60)), Some(1_800));
        assert_eq!(held.extension_seconds(Duration::from_millis(1_500), at(60)), Some(2), "rounded up");
        assert_eq!(held.extension_seconds(half_an_hour, at(cap - 100)), Some(100));
        for second in [cap - 1, cap, cap + 100] {
            assert_eq!(held.extension_seconds(half_an_hour, at(second)), None, "{second}");
        }
    }

    #[test]
    fn an_old_token_fits_no_new_delivery_in_its_place() {
        let mut table = Table::default();
        let old = add(&mut table, "old", 5);
        table.take(old, at(1));
        let new = add(&mut table, "new", 5);
        assert_eq!(old.slot, new.slot);
        assert!(table.get(old, at(1)).is_none());
        assert!(table.get(new, at(1)).is_some());
    }
}
