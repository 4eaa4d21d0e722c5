//! What made the consumer work on an order: for the log lines of every step.

use bus::pipeline::Envelope;

/// The message at hand, and which attempt at it this is.
#[derive(Clone, Debug)]
pub(super) struct Cause {
    pub(super) message_id: String,
    pub(super) attempt: u32,
}

impl Cause {
    pub(super) fn of(envelope: &Envelope) -> Self {
        Self { message_id: envelope.message_id().to_string(), attempt: envelope.attempt() }
    }

    /// The reconciler works without a message.
    pub(super) fn reconciler() -> Self {
        Self { message_id: "reconciler".to_owned(), attempt: 1 }
    }
}
