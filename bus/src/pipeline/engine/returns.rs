//! Deliveries that go back without having been processed, and starts that do not count.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tracing::warn;

use crate::pipeline::hand::Held;
use crate::{ClockExt, Error, ErrorKind, MessageId, MessageKey};

use super::{Engine, Event};

/// Longest wait for the store to take starts back, and for the bus to take deliveries back: 10 s, a third
/// of the lease that SQS starts with. Nothing is received meanwhile, and a call that is given up drops
/// what it has, which returns like any dropped delivery.
const RETURN_MAX: Duration = Duration::from_secs(10);

/// What went back of a key while a receive was under way.
#[derive(Debug)]
pub(super) struct Recalled {
    /// What must come again before anything else of the key.
    first: MessageId,
    is_back: bool,
    /// Something came before it and went back, so what comes after it would overtake that: a lane may hold
    /// what the broker does not keep in order, such as messages of foreign hands without a key.
    is_overtaken: bool,
}

impl Recalled {
    /// Whether the next message that this receive brings of the key goes back.
    pub(super) fn holds_back(&mut self, message_id: &MessageId) -> bool {
        if !self.is_back && self.first == *message_id {
            self.is_back = true;
            return false;
        }
        self.is_overtaken |= !self.is_back;
        self.is_overtaken
    }
}

impl Engine<'_> {
    /// Gives a delivery back as if it had never come, and its followers after it.
    pub(super) fn send_back(&mut self, held: Held) {
        self.returning.push(held.unsettled);
        if let Some(key) = held.key {
            self.return_followers(&key);
            self.recall(key, held.message_id);
        }
    }

    /// The delivery is no longer ours: nothing to settle, and its followers cannot overtake it.
    pub(super) fn give_up(&mut self, held: Held) {
        held.unsettled.discharge();
        if let Some(key) = held.key {
            self.return_followers(&key);
            self.recall(key, held.message_id);
        }
    }

    /// What a receive under way still brings of `key` must not start before `first` comes again.
    pub(super) fn recall(&mut self, key: MessageKey, first: MessageId) {
        if self.receiving && self.pipeline.policy.order_per_key {
            self.recalled.insert(key, Recalled { first, is_overtaken: false, is_back: false });
        }
    }

    pub(super) fn return_followers(&mut self, key: &MessageKey) {
        let followers = self.lanes.abandon(key);
        self.return_places(followers);
    }

    pub(super) fn return_places(&mut self, places: VecDeque<usize>) {
        for place in places {
            if let Some(held) = self.held.try_remove(place) {
                self.returning.push(held.unsettled);
            }
        }
    }

    /// A start that was counted does not count.
    pub(super) fn forgive(&mut self, message_id: &MessageId) {
        if self.pipeline.attempts.is_some() {
            self.pardons.push(message_id.clone());
        }
    }

    /// Gives back what has gathered, and takes starts back before.
    pub(super) fn hand_back(&mut self) {
        if self.returning.is_empty() && self.pardons.is_empty() {
            return;
        }
        let returning = std::mem::take(&mut self.returning);
        let pardons = std::mem::take(&mut self.pardons);
        let pardoned = !pardons.is_empty();
        self.pardoning_count += usize::from(pardoned);
        self.returning_count += 1;
        let (pipeline, receiver) = (self.pipeline, Arc::clone(&self.receiver));
        self.owe(async move {
            let clock = &pipeline.seams.clock;
            // First the pardon: the next start may be counted as soon as a message is visible.
            if let Some(attempts) = pipeline.attempts.as_deref().filter(|_| pardoned) {
                let forgiving = attempts.forgive(&pipeline.subscription, &pardons);
                let answer = clock.timeout(RETURN_MAX, forgiving).await;
                if let Err(error) = answer.unwrap_or_else(|| Err(no_answer("forgive"))) {
                    warn!(subscription = %pipeline.subscription, %error, "starts that should not count stay counted");
                }
            }
            if clock.timeout(RETURN_MAX, receiver.release(returning)).await.is_none() {
                warn!(subscription = %pipeline.subscription, limit = ?RETURN_MAX,
                    "deliveries were not released in time: they come again late, or counted as received");
            }
            Event::Returned { pardoned }
        });
    }

    pub(super) fn returned(&mut self, pardoned: bool) {
        self.owed_call_count -= 1;
        self.pardoning_count -= usize::from(pardoned);
        self.returning_count -= 1;
    }

    /// Whether starts are still counted that should not be: another would be one too many.
    pub(super) fn is_pardoning(&self) -> bool {
        self.pardoning_count > 0 || !self.pardons.is_empty()
    }
}

fn no_answer(operation: &'static str) -> Error {
    Error::new(ErrorKind::Timeout, operation, format!("no answer within {RETURN_MAX:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_passes_what_went_back_of_its_key_in_the_same_receive() {
        let id = |id: &str| MessageId::parse(id).expect("legal");
        for (brought, goes_back) in [
            (["first", "2", "3"], [false, false, false]),
            (["2", "first", "3"], [true, false, true]),
            (["2", "3", "4"], [true, true, true]),
        ] {
            let mut recalled = Recalled { first: id("first"), is_back: false, is_overtaken: false };
            assert_eq!(brought.map(|message| recalled.holds_back(&id(message))), goes_back, "{brought:?}");
        }
    }
}
