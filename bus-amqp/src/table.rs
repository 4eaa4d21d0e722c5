//! What a receiver has in hand on its channel.
//!
//! A delivery tag belongs to a channel, so a token is a tag and the channel's epoch: after a
//! reconnect no old token fits.

use std::collections::BTreeMap;

use bus::{Message, Token};

/// One delivery.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) message: Message,
    /// Hand-outs before this one.
    pub(crate) received_before: u32,
    /// Whether it is being settled by more than one step: nobody else may settle it.
    is_busy: bool,
}

/// All deliveries of one channel that are not settled, buffered ones included.
#[derive(Debug, Default)]
pub(crate) struct Table {
    epoch: u64,
    held: BTreeMap<u64, Held>,
    lost: Vec<Token>,
}

impl Table {
    /// A new channel: what is still held on the old one is lost.
    pub(crate) fn begin(&mut self, epoch: u64) {
        self.lose_all();
        self.epoch = epoch;
    }

    pub(crate) fn add(&mut self, tag: u64, message: Message, received_before: u32) -> Token {
        self.held.insert(tag, Held { message, received_before, is_busy: false });
        Token { slot: tag, epoch: self.epoch }
    }

    fn place_of(&mut self, token: Token) -> Option<&mut Held> {
        if token.epoch != self.epoch {
            return None;
        }
        self.held.get_mut(&token.slot).filter(|held| !held.is_busy)
    }

    /// Takes a delivery out that is still ours.
    pub(crate) fn take(&mut self, token: Token) -> Option<Held> {
        self.place_of(token)?;
        self.held.remove(&token.slot)
    }

    pub(crate) fn has(&mut self, token: Token) -> bool {
        self.place_of(token).is_some()
    }

    /// Keeps a delivery for whoever settles it by more than one step, and answers what it is.
    pub(crate) fn occupy(&mut self, token: Token) -> Option<(Message, u32)> {
        let held = self.place_of(token)?;
        held.is_busy = true;
        Some((held.message.clone(), held.received_before))
    }

    /// Takes out what was [occupied](Self::occupy), unless it was lost meanwhile.
    pub(crate) fn take_occupied(&mut self, token: Token) -> bool {
        token.epoch == self.epoch && self.held.remove(&token.slot).is_some()
    }

    /// The first tag that is not settled. All before it are: one acknowledgement may cover them.
    pub(crate) fn first_held(&self) -> u64 {
        self.held.first_key_value().map_or(u64::MAX, |(tag, _)| *tag)
    }

    pub(crate) fn count(&self) -> usize {
        self.held.len()
    }

    /// The channel is gone, and with it everything that was held on it.
    pub(crate) fn lose_all(&mut self) {
        let epoch = self.epoch;
        let tags = std::mem::take(&mut self.held).into_keys();
        self.lost.extend(tags.map(|slot| Token { slot, epoch }));
        self.epoch = 0;
    }

    /// The names of deliveries lost since the last call.
    pub(crate) fn take_lost(&mut self) -> Vec<Token> {
        std::mem::take(&mut self.lost)
    }
}

#[cfg(test)]
mod tests {
    use bus::MessageId;

    use super::*;

    fn message() -> Message {
        Message::new(MessageId::parse("m").expect("legal"), &b""[..])
    }

    #[test]
    fn no_token_of_an_old_channel_fits() {
        let mut table = Table::default();
        table.begin(1);
        let old = table.add(7, message(), 0);
        table.begin(2);
        let new = table.add(7, message(), 0);
        assert_eq!(table.take_lost(), [old]);
        assert!(table.take(old).is_none());
        assert!(table.take(new).is_some());
        assert!(table.take_lost().is_empty(), "each is told once, and what was settled is not lost");
    }

    #[test]
    fn what_is_being_settled_is_settled_once_and_holds_later_ones_up() {
        let mut table = Table::default();
        table.begin(1);
        let [one, two] = [1, 2].map(|tag| table.add(tag, message(), 0));
        assert!(table.occupy(one).is_some());
        assert!(table.occupy(one).is_none() && table.take(one).is_none());
        assert!(table.take(two).is_some());
        assert_eq!(table.first_held(), 1, "an acknowledgement of 2 must not cover 1");
        assert!(table.take_occupied(one) && !table.take_occupied(one));
        assert_eq!(table.first_held(), u64::MAX);
    }
}
