//! What a bus answers, per message and in input order.

use crate::{Error, Moment};

/// The answer to one published message.
#[derive(Debug)]
#[must_use = "a refused or unknown message is lost unless somebody acts on it"]
pub enum PublishOutcome {
    /// The bus took responsibility, to the degree [`Capability::durability`](crate::Capability) states.
    Accepted(Receipt),
    /// It did not, and the message is not on the bus. [`Error::is_retryable`] says whether to try again.
    Refused(Error),
    /// No answer: it may or may not be on the bus. Resend the same id and bytes.
    Unknown(Error),
}

impl PublishOutcome {
    /// Whether the bus took responsibility.
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        matches!(self, Self::Accepted(_))
    }
}

/// Proof of acceptance.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Receipt {
    /// The broker's own name for the message: an SQS message id, `topic/partition/offset`, …
    pub broker_id: Option<Box<str>>,
}

/// The answer to one settlement.
#[derive(Debug)]
#[must_use = "a settlement that did not happen means another delivery"]
pub enum SettleOutcome {
    /// The bus confirmed it.
    Settled,
    /// It was sent; this protocol has no answer (`Capability::settle_confirmed` is false).
    Sent,
    /// Too late: the delivery was no longer ours. Nothing was settled.
    LeaseLost,
    /// It failed; the message will be delivered again when its lease ends.
    Failed(Error),
}

impl SettleOutcome {
    /// Whether the delivery is settled as far as this protocol can tell.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        matches!(self, Self::Settled | Self::Sent)
    }
}

/// The answer to one extension of a lease.
#[derive(Debug)]
#[must_use = "a lease that was not extended ends as announced"]
pub enum ExtendOutcome {
    /// The delivery is ours until this moment.
    Until(Moment),
    /// The lease has reached the longest time the broker allows.
    Capped,
    /// Too late: the delivery was no longer ours.
    LeaseLost,
    /// The call failed; the old deadline stands.
    Failed(Error),
}
