//! One attempt to hand a message to one consumer.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::settlement::{Settlement, Verdict};
use crate::{Message, Moment};

/// The backend's own name for a delivery: where it is kept, and which hand-out of it this is.
///
/// `epoch` fences: a token of an earlier hand-out, connection or assignment is `LeaseLost`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token {
    /// Place in the backend's table of deliveries.
    pub slot: u64,
    /// Distinguishes successive uses of the slot.
    pub epoch: u64,
}

/// The time in which a delivery is ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// When it ends unless extended; `None`: with settlement or the connection.
    pub deadline: Option<Moment>,
}

/// Takes back what a consumer dropped without settling. Implemented by backends.
///
/// Called from destructors: it must not block and do no I/O; the backend makes the delivery
/// visible again soon after.
pub trait Returns: Send + Sync {
    /// The delivery of `token` was dropped.
    fn give_back(&self, token: Token);
}

/// A received message that must be settled. Dropping it gives it back.
#[must_use = "an unsettled delivery is delivered again"]
#[derive(Debug)]
pub struct Delivery {
    message: Message,
    receive_count: Option<u32>,
    lease: Lease,
    unsettled: Unsettled,
}

impl Delivery {
    /// For backends: a delivery named `token`, to be given back to `returns` when dropped.
    pub fn new(
        message: Message,
        token: Token,
        lease: Lease,
        receive_count: Option<u32>,
        returns: Arc<dyn Returns>,
    ) -> Self {
        Self { message, receive_count, lease, unsettled: Unsettled { token, returns: Some(returns) } }
    }

    /// The message.
    #[must_use]
    pub fn message(&self) -> &Message {
        &self.message
    }

    /// The message, to be changed by a layer.
    pub fn message_mut(&mut self) -> &mut Message {
        &mut self.message
    }

    /// How often the broker handed the message out, this time included, where it counts. Prefetch
    /// and shutdown count too: this is not the number of attempts.
    #[must_use]
    pub fn receive_count(&self) -> Option<u32> {
        self.receive_count
    }

    /// Until when it is ours.
    #[must_use]
    pub fn lease(&self) -> Lease {
        self.lease
    }

    /// The backend's name for it.
    #[must_use]
    pub fn token(&self) -> Token {
        self.unsettled.token
    }

    /// For layers: a drop gives it back to what `around` makes of the backend's own [`Returns`], and
    /// that must pass it on.
    pub fn returned_through(&mut self, around: impl FnOnce(Arc<dyn Returns>) -> Arc<dyn Returns>) {
        self.unsettled.returns = self.unsettled.returns.take().map(around);
    }

    /// Separates the message from the duty to settle.
    pub fn split(self) -> (Message, Unsettled) {
        (self.message, self.unsettled)
    }

    /// Processed: consume it for good.
    pub fn ack(self) -> Settlement {
        self.unsettled.ack()
    }

    /// Not processed: deliver it again, not before `after` has passed.
    pub fn nack(self, after: Duration) -> Settlement {
        self.unsettled.nack(after)
    }

    /// Never to be processed: keep it in the dead letters, with this reason.
    pub fn reject(self, reason: impl Into<String>) -> Settlement {
        self.unsettled.reject(reason)
    }
}

/// The duty to settle one delivery. Dropping it gives the delivery back.
#[must_use = "an unsettled delivery is delivered again"]
pub struct Unsettled {
    token: Token,
    returns: Option<Arc<dyn Returns>>,
}

impl Unsettled {
    /// The backend's name for the delivery.
    #[must_use]
    pub fn token(&self) -> Token {
        self.token
    }

    /// See [`Delivery::ack`].
    pub fn ack(self) -> Settlement {
        Settlement::new(self, Verdict::Ack)
    }

    /// See [`Delivery::nack`].
    pub fn nack(self, after: Duration) -> Settlement {
        Settlement::new(self, Verdict::Nack { after })
    }

    /// See [`Delivery::reject`].
    pub fn reject(self, reason: impl Into<String>) -> Settlement {
        Settlement::new(self, Verdict::Reject { reason: reason.into() })
    }

    /// For backends and for leases already lost: the duty has ended, nothing is given back.
    pub fn discharge(mut self) -> Token {
        self.returns = None;
        self.token
    }
}

impl Drop for Unsettled {
    fn drop(&mut self) {
        if let Some(returns) = self.returns.take() {
            returns.give_back(self.token);
        }
    }
}

impl fmt::Debug for Unsettled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Unsettled").field(&self.token).finish()
    }
}
