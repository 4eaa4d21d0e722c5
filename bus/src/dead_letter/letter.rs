//! One dead letter.

use super::Provenance;
use crate::{Destination, Message, MessageId, Outgoing, Subscription};

/// A message among the dead letters, with what is known of its death.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    message: Message,
    provenance: Provenance,
}

impl DeadLetter {
    /// Reads the provenance of a message that was received from dead letters.
    #[must_use]
    pub fn new(message: Message) -> Self {
        Self { provenance: Provenance::of(&message), message }
    }

    /// The message as it lies there: what was published, and the headers of its rejection.
    #[must_use]
    pub fn message(&self) -> &Message {
        &self.message
    }

    /// Where it comes from and why it is here.
    #[must_use]
    pub fn provenance(&self) -> &Provenance {
        &self.provenance
    }

    /// The message on its way back. Where its origin is unknown that is `otherwise`, and all groups.
    pub(super) fn to_replay(&self, otherwise: &Destination) -> Outgoing {
        let origin = self.provenance.rejected_by.as_ref().map_or(otherwise, Subscription::destination);
        let mut message = self.message.clone();
        self.provenance.mark_replay(&mut message);
        Outgoing::new(origin.clone(), message)
    }

    pub(super) fn identity(&self) -> Identity {
        Identity { victim: self.victim(), replay_count: self.provenance.replay_count }
    }

    pub(super) fn victim(&self) -> Victim {
        Victim { message_id: self.message.id().clone(), rejected_by: self.provenance.rejected_by.clone() }
    }
}

/// Which message died, and where: two groups may reject the same one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Victim {
    message_id: MessageId,
    rejected_by: Option<Subscription>,
}

/// Which death it was: each replay of a message begins another life.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Identity {
    victim: Victim,
    replay_count: u32,
}
