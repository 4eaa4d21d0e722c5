//! What is in whose hand: handed out by token, and settled or given back by it.

use bus::{Moment, Token};

use super::assignment::Assignment;
use super::lanes::LaneId;
use super::{Hand, Place};
use crate::record::Record;

pub(super) struct Held {
    pub(super) epoch: u64,
    pub(super) reader: u64,
    pub(super) place: Place,
    lane: Option<LaneId>,
}

/// What is handed out, before it becomes a delivery.
pub(crate) struct Out {
    pub(crate) token: Token,
    pub(crate) place: Place,
    pub(crate) record: Record,
}

impl Hand {
    /// Hands out at most `max` messages to a receiver.
    pub(crate) fn hand_out(&mut self, reader: u64, max: usize, now: Moment) -> Vec<Out> {
        self.end_delays(now);
        let Some(known) = self.readers.get(&reader).filter(|known| !known.is_stopped) else { return Vec::new() };
        let max = max.min(known.prefetch_count_max.saturating_sub(known.held_count));
        let mut out = Vec::with_capacity(max.min(self.returned.len() + self.fresh.len()));
        while out.len() < max
            && let Some(place) = self.next_place()
        {
            let Some(known) = self.partitions.get_mut(&place.0).filter(|known| !known.is_leaving) else { continue };
            let Some((record, lane)) = known.enter(place.1, reader) else { continue };
            known.in_hand_count += 1;
            self.last_epoch += 1;
            let epoch = self.last_epoch;
            let slot = self.held.insert(Held { epoch, reader, place, lane });
            out.push(Out { token: Token { slot: slot as u64, epoch }, place, record });
        }
        if let Some(known) = self.readers.get_mut(&reader) {
            known.held_count += out.len();
        }
        out
    }

    fn held(&self, reader: u64, token: Token) -> Option<&Held> {
        let held = self.held.get(usize::try_from(token.slot).ok()?)?;
        (held.epoch == token.epoch && held.reader == reader).then_some(held)
    }

    /// The record of a delivery that is with `reader`, and its place.
    pub(crate) fn record(&self, reader: u64, token: Token) -> Option<(Place, &Record)> {
        let place = self.held(reader, token)?.place;
        Some((place, self.window(place.0)?.record(place.1)?))
    }

    fn take(&mut self, reader: u64, token: Token) -> Option<(Held, &mut Assignment)> {
        self.held(reader, token)?;
        let held = self.held.try_remove(usize::try_from(token.slot).ok()?)?;
        if let Some(reader) = self.readers.get_mut(&reader) {
            reader.held_count -= 1;
        }
        let known = self.partitions.get_mut(&held.place.0)?;
        known.in_hand_count -= 1;
        Some((held, known))
    }

    /// Settles a delivery for good; answers whether it was with `reader`.
    pub(crate) fn settle(&mut self, reader: u64, token: Token) -> bool {
        let Some((Held { place: (partition, offset), lane, .. }, known)) = self.take(reader, token) else {
            return false;
        };
        known.settle(offset);
        if let Some(lane) = lane {
            let free = known.lanes.settle(lane);
            self.returned.extend(free.into_iter().map(|offset| (partition, offset)));
        }
        true
    }

    /// Takes a delivery out of a hand, to be settled by somebody else than its receiver.
    pub(crate) fn set_aside(&mut self, reader: u64, token: Token) -> Option<Place> {
        let (Held { place, lane, .. }, known) = self.take(reader, token)?;
        if let Some(lane) = lane {
            let free = known.lanes.settle(lane);
            self.returned.extend(free.into_iter().map(|offset| (place.0, offset)));
        }
        Some(place)
    }

    /// Settles what is in nobody's hand.
    pub(crate) fn settle_place(&mut self, (partition, offset): Place) {
        if let Some(known) = self.partitions.get_mut(&partition) {
            known.settle(offset);
        }
    }

    /// Takes a delivery back, to be handed out again at `due` or, without it, as soon as may be;
    /// answers whether it was with `reader`.
    pub(crate) fn give_back(&mut self, reader: u64, token: Token, due: Option<Moment>) -> bool {
        let Some((Held { place, lane, .. }, known)) = self.take(reader, token) else { return false };
        match lane {
            Some(lane) => {
                let free = known.lanes.give_back(lane, place.1, due.is_some());
                self.returned.extend(free.into_iter().map(|offset| (place.0, offset)));
            }
            None if due.is_none() => {
                self.returned.insert(place);
            }
            None => {}
        }
        if let Some(due) = due {
            self.delayed.insert((due, place));
        }
        true
    }

    /// A receiver ends: what it has is given back, and named, for it is lost to the receiver.
    pub(crate) fn part(&mut self, reader: u64) -> Vec<Token> {
        let held: Vec<Token> = self
            .held
            .iter()
            .filter(|(_, held)| held.reader == reader)
            .map(|(slot, held)| Token { slot: slot as u64, epoch: held.epoch })
            .collect();
        for token in &held {
            self.give_back(reader, *token, None);
        }
        let told = self.readers.remove(&reader).map(|reader| reader.lost).unwrap_or_default();
        told.into_iter().chain(held).collect()
    }
}
