//! A delivery in hand, from arrival to the decision that settles it.

use std::time::Duration;

use futures_util::future::AbortHandle;

use crate::{Delivery, Message, MessageId, MessageKey, Moment, Unsettled};

use super::Identity;

/// Everything known about one delivery in hand.
pub(super) struct Held {
    /// Gone once the handler has it.
    pub(super) message: Option<Message>,
    pub(super) message_id: MessageId,
    pub(super) key: Option<MessageKey>,
    pub(super) unsettled: Unsettled,
    pub(super) receive_count: Option<u32>,
    /// When the lease ends, where there is one.
    pub(super) deadline: Option<Moment>,
    pub(super) attempt: u32,
    /// Its start was counted beyond the last attempt.
    pub(super) is_surplus: bool,
    /// Tells this delivery from an earlier one in the same place.
    pub(super) serial: u64,
    pub(super) stage: Stage,
}

/// How far a delivery has come.
pub(super) enum Stage {
    /// First of its key, waiting for a free handler.
    Ready,
    /// Waiting behind an earlier message of its key.
    Following,
    /// Its start is being counted. `lost` when the lease went meanwhile.
    Beginning { lost: bool },
    /// Its handler runs.
    Running { abort: AbortHandle, ending: Option<Ending> },
}

/// Why a running handler was cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    TimedOut,
    LeaseLost,
    LeaseCapped,
    Drained,
}

impl Held {
    pub(super) fn new(delivery: Delivery, identity: Identity, serial: u64) -> Self {
        let (receive_count, deadline) = (delivery.receive_count(), delivery.lease().deadline);
        let (message, unsettled) = delivery.split();
        Self {
            message_id: identity.message_id.unwrap_or_else(|| message.id().clone()),
            key: identity.key.or_else(|| message.key().cloned()),
            message: Some(message),
            unsettled,
            receive_count,
            deadline,
            attempt: 0,
            is_surplus: false,
            serial,
            stage: Stage::Ready,
        }
    }

    /// Whether the lease ends within `span` from `now`.
    pub(super) fn ends_within(&self, span: Duration, now: Moment) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= now + span)
    }
}
