//! Pausing, by hand or because something is down, and the way back.

use tracing::{info, warn};

use crate::pipeline::gate::Cause;
use crate::{MessageKey, Moment};

use super::Engine;

impl Engine<'_> {
    /// Does what was asked for by hand, if that is news.
    pub(super) fn steered(&mut self) {
        let asked = self.pipeline.control.asked();
        if !self.gate.set_by_hand(asked.clone()) || self.draining.is_some() {
            return;
        }
        let subscription = &self.pipeline.subscription;
        match asked {
            Some(reason) => {
                info!(%subscription, reason, "paused by hand: nothing is received, what runs may finish");
                self.return_waiting();
            }
            None => info!(%subscription, "the pause by hand is over"),
        }
        self.show();
    }

    /// Something is down: nothing new starts, and what has not started goes back.
    pub(super) fn trip(&mut self, cause: Cause, trouble: &str) {
        let pipeline = self.pipeline;
        if self.draining.is_some() {
            // What is shutting down beside us is no outage.
            return;
        }
        let (now, probe, entropy) = (self.now(), pipeline.policy.probe, pipeline.seams.entropy.as_ref());
        if self.gate.trip(cause, trouble, now, probe, entropy, pipeline.status.subscription()) {
            let what = match cause {
                Cause::Bus => "the bus",
                Cause::Dependency => "a dependency",
            };
            warn!(subscription = %pipeline.subscription, reason = trouble, "{what} is down: paused, nothing is lost, probing");
            self.show();
        }
        self.return_ready();
    }

    /// A handler got through, or a receive did. What was not handled, or failed for reasons of its own,
    /// proves nothing.
    pub(super) fn passed(&mut self, cause: Cause) {
        if self.gate.pass(cause) {
            let what = match cause {
                Cause::Bus => "the bus",
                Cause::Dependency => "the dependency",
            };
            info!(subscription = %self.pipeline.subscription, "{what} is back");
            self.show();
        }
    }

    /// On an empty queue nothing ever arrives: a receive that waits for so long is as good.
    pub(super) fn prove_bus(&mut self, now: Moment) {
        if self.gate.bus_proved_at().is_some_and(|proved_at| proved_at <= now) {
            self.gate.receive_ends();
            self.passed(Cause::Bus);
        }
    }

    /// Shows the state, unless it is draining: nothing is more important to know then.
    pub(super) fn show(&self) {
        if self.draining.is_none() {
            self.pipeline.status.set(self.gate.state());
        }
    }

    /// Every head that waits for a handler goes back, and its followers after it.
    fn return_ready(&mut self) {
        while let Some(place) = self.ready.pop_front() {
            if let Some(held) = self.held.try_remove(place) {
                self.send_back(held);
            }
        }
    }

    /// Everything that has not started goes back; heads that run or are being settled stay.
    pub(super) fn return_waiting(&mut self) {
        self.return_ready();
        // Followers know their key too, so this finds those of heads that are being settled.
        let keys: Vec<MessageKey> = self.held.iter().filter_map(|(_, held)| held.key.clone()).collect();
        for key in keys {
            let followers = self.lanes.clear(&key);
            let first = followers.front().and_then(|place| self.held.get(*place));
            if let Some(first) = first.map(|held| held.message_id.clone()) {
                self.recall(key, first);
            }
            self.return_places(followers);
        }
    }
}
