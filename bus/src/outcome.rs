//! What a bus answers, per message and in input order.

use crate::{Error, ErrorKind, Moment, Result};

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

    /// The receipt, for callers that go on with `?`.
    ///
    /// # Errors
    /// A refusal as it is. [`Timeout`](ErrorKind::Timeout) when there was no answer, whatever kept it
    /// from coming: the message may or may not be on the bus, so resend the same id and bytes.
    pub fn into_result(self) -> Result<Receipt> {
        match self {
            Self::Accepted(receipt) => Ok(receipt),
            Self::Refused(error) => Err(error),
            Self::Unknown(error) if error.kind() == ErrorKind::Timeout => Err(error),
            Self::Unknown(cause) => {
                let message = "no answer: the message may or may not be on the bus";
                Err(Error::new(ErrorKind::Timeout, "publish", message).caused_by(cause))
            }
        }
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
