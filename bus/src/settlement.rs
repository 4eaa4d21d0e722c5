//! How a delivery ends, as a value without I/O.

use std::time::Duration;

use crate::{Token, Unsettled};

/// What the consumer decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Consume it for good.
    Ack,
    /// Deliver it again, not before `after`.
    Nack {
        /// The delay, zero for at once.
        after: Duration,
    },
    /// Keep it in the destination's dead letters.
    Reject {
        /// Why, for whoever reads the dead letters.
        reason: String,
    },
}

/// One decided delivery, to be handed to [`Receiver::settle`](crate::Receiver::settle) in a batch.
///
/// Dropping it unsent gives the delivery back, as if it had never been decided.
#[must_use = "nothing is settled until the receiver's `settle` gets this"]
#[derive(Debug)]
pub struct Settlement {
    unsettled: Unsettled,
    verdict: Verdict,
}

impl Settlement {
    pub(crate) fn new(unsettled: Unsettled, verdict: Verdict) -> Self {
        Self { unsettled, verdict }
    }

    /// Which delivery.
    #[must_use]
    pub fn token(&self) -> Token {
        self.unsettled.token()
    }

    /// What was decided.
    #[must_use]
    pub fn verdict(&self) -> &Verdict {
        &self.verdict
    }

    /// For receiver layers: another decision about the same delivery.
    pub fn with_verdict(mut self, verdict: Verdict) -> Self {
        self.verdict = verdict;
        self
    }

    /// For receiver layers: takes the decision back; the duty to settle stays.
    pub fn undecided(self) -> Unsettled {
        self.unsettled
    }

    /// For backends: takes over the duty to settle.
    #[must_use]
    pub fn into_parts(self) -> (Token, Verdict) {
        (self.unsettled.discharge(), self.verdict)
    }
}
