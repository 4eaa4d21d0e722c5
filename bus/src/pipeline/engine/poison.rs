//! What becomes of a message that fails its last attempt, and of those behind it.

use std::time::Duration;

use tracing::{info, warn};

use crate::pipeline::hand::Held;
use crate::pipeline::isolation::Lot;
use crate::pipeline::{Isolated, Isolation, Poison};
use crate::{MessageId, MessageKey, Unsettled};

use super::Engine;
use super::outcome::Goes;

impl Engine<'_> {
    /// The last attempt has failed. `asked_for` is the delay its handler wants, where it does.
    pub(super) fn poisoned(&mut self, held: Held, asked_for: Duration, reason: String) {
        match (self.pipeline.policy.poison, &held.key) {
            (Poison::Stop, _) => self.stand_still(held, asked_for, reason),
            (Poison::Park, Some(key)) if self.is_ordered => {
                self.park(key, &held.message_id, &reason);
                self.reject(held, reason, Goes::Parked);
            }
            (Poison::Park | Poison::Skip, _) => self.reject(held, reason, Goes::ToDeadLetters),
        }
    }

    /// Whether a message whose starts are used up is started once more.
    ///
    /// Counts of this process prove that it survives the handler. Durable ones do not: such a message
    /// waits before its first start here.
    pub(super) fn may_try_again(&self, held: &Held) -> bool {
        self.pipeline.policy.poison == Poison::Stop && {
            let isolations = self.pipeline.isolations.lock();
            let is_known = isolations.is_stopped(&self.lot(held.key.as_ref(), &held.message_id), &held.message_id);
            self.pipeline.attempts.is_none() || is_known || isolations.is_full()
        }
    }

    /// Its key stands still; it is tried again after the longest delay.
    fn stand_still(&mut self, held: Held, asked_for: Duration, reason: String) {
        let pipeline = self.pipeline;
        let id = held.message_id.to_string();
        let longest = pipeline.policy.retry.delay(u32::MAX, pipeline.seams.entropy.as_ref(), "retry", &id);
        let delay = self.bearable(longest.max(asked_for));
        warn!(subscription = %pipeline.subscription, message_id = %held.message_id, attempt = held.attempt, reason,
            retry_in = ?delay, "the last attempt failed: it is repeated until it succeeds, and its key waits");
        self.attempts.failed(&held.message_id, held.attempt);
        if held.is_surplus {
            // The count stays at the last attempt, however often that is made.
            self.forgive(&held.message_id);
        }
        let stopped = Isolated {
            isolation: Isolation::Stopped,
            message_id: held.message_id.clone(),
            key: held.key.clone(),
            reason,
        };
        pipeline.isolations.lock().stop(self.lot(held.key.as_ref(), &held.message_id), stopped);
        self.settle(held, |unsettled| unsettled.nack(delay), Goes::Back);
    }

    /// The reason to send the head of a lane to the dead letters unprocessed: a parked message before it.
    pub(super) fn parked_behind(&self, held: &Held) -> Option<String> {
        if self.pipeline.policy.poison != Poison::Park || !self.is_ordered {
            return None;
        }
        let isolations = self.pipeline.isolations.lock();
        let parked = isolations.parked(held.key.as_ref()?)?;
        // The parked message itself, which somebody has replayed, is the way out.
        (parked.message_id != held.message_id)
            .then(|| format!("not processed: it stands behind {}, whose {}", parked.message_id, parked.reason))
    }

    /// Sends a message after the parked one before it.
    pub(super) fn follow(&mut self, held: Held, reason: String) {
        warn!(subscription = %self.pipeline.subscription, message_id = %held.message_id, reason,
            "the message goes to the dead letters");
        self.settle(held, |unsettled: Unsettled| unsettled.reject(reason), Goes::AfterParked);
    }

    /// Later messages of the key follow from now on, even should the bus not take this one at once: better a
    /// letter out of place than an effect out of order.
    fn park(&self, key: &MessageKey, message_id: &MessageId, reason: &str) {
        let subscription = &self.pipeline.subscription;
        warn!(%subscription, %key, %message_id, reason, "the key is parked: later messages of it go to the dead letters");
        let parked = Isolated {
            isolation: Isolation::Parked,
            message_id: message_id.clone(),
            key: Some(key.clone()),
            reason: reason.to_owned(),
        };
        if let Some(Isolated { message_id, .. }) = self.pipeline.isolations.lock().park(key.clone(), parked) {
            warn!(%subscription, %message_id, "too many keys are parked: the one behind this message goes on");
        }
    }

    /// A message is done with for good, and with it what it held up.
    pub(super) fn done(&mut self, key: Option<&MessageKey>, message_id: &MessageId) {
        if self.pipeline.policy.poison == Poison::Skip {
            return;
        }
        let lot = self.lot(key, message_id);
        if let Some(over) = self.pipeline.isolations.lock().done(&lot, message_id) {
            info!(subscription = %self.pipeline.subscription, message_id = %over.message_id, "no longer isolated");
        }
    }

    /// What a message stands still with.
    fn lot(&self, key: Option<&MessageKey>, message_id: &MessageId) -> Lot {
        match key {
            Some(key) if self.is_ordered => Lot::Key(key.clone()),
            _ => Lot::Message(message_id.clone()),
        }
    }
}
