//! What nothing can be made of: produced to the dead letters as it is, before its offset passes.

use std::sync::{Arc, Weak};

use bus::dead_letter::{self, Rejection};
use bus::{Message, Moment, Result, Subscription};
use tracing::warn;

use crate::hand::Place;
use crate::member::Member;
use crate::parcel::Parcel;

/// A record on its way to the dead letters.
pub(crate) struct Aside {
    pub(crate) member: Weak<Member>,
    pub(crate) place: Place,
    pub(crate) message: Message,
    /// Not to be tried before.
    pub(crate) try_at: Moment,
}

impl Aside {
    /// Its delivery report.
    pub(crate) fn reported(mut self, outcome: Result<bus::Receipt>) {
        let Some(member) = self.member.upgrade() else { return };
        match outcome {
            Ok(_) => member.hand().settle_place(self.place),
            Err(error) => {
                warn!(%error, subscription = %member.subscription, "a dead letter was not accepted; trying again");
                self.try_at = member.retry_at();
                member.set_aside(self);
            }
        }
    }
}

impl Member {
    /// Sets a record aside that could not be read, marked with the reason.
    /// A replay takes it to `subscription`.
    pub(crate) fn quarantine(
        self: &Arc<Self>,
        place: Place,
        mut message: Message,
        fault: &str,
        subscription: &Subscription,
    ) {
        let (topic, partition) = (self.topic(place.0.topic), place.0.number);
        warn!(subscription = %self.subscription, %topic, partition, offset = place.1, fault, "quarantined");
        let at = self.shared.seams.clock.wall();
        let rejection = Rejection { subscription, reason: fault, receive_count: None, at };
        dead_letter::mark(&mut message, &rejection);
        self.set_aside(Aside { member: Arc::downgrade(self), place, message, try_at: Moment::default() });
    }

    /// Sends what was set aside and is due.
    pub(crate) fn bury_aside(&self) {
        let now = self.now();
        let due: Vec<Aside> = self.aside().extract_if(.., |aside| aside.try_at <= now).collect();
        for aside in due {
            let Ok(grave) = self.subscription.destination().dead_letters() else { continue };
            let parcel = Parcel::of(grave, aside.message.clone());
            if let Err((error, mut aside)) = self.shared.publisher.send_aside(&parcel, aside) {
                warn!(%error, subscription = %self.subscription, "a dead letter could not be sent; trying again");
                aside.try_at = self.retry_at();
                self.set_aside(aside);
            }
        }
    }
}
