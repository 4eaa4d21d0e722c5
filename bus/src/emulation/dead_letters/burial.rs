//! One rejected message and its copy.

use jiff::Timestamp;

use crate::dead_letter::{self, REASON, Rejection};
use crate::emulation::in_hand::Known;
use crate::{Destination, Error, Message, Settlement, Subscription};

/// A reject on its way.
pub(super) struct Burial {
    /// In the batch of settlements.
    pub(super) place: usize,
    /// Not yet decided for the bus: dropped, it gives the delivery back.
    pub(super) settlement: Settlement,
    pub(super) copy: Message,
    /// Whether the bus takes the delivery back by itself.
    pub(super) has_lease: bool,
}

/// The message with its provenance, its reason cut to what fits into `bytes_max`.
pub(super) fn copy_of(
    known: &Known,
    subscription: &Subscription,
    reason: &str,
    at: Timestamp,
    bytes_max: Option<usize>,
) -> Message {
    let mut copy = known.message.clone();
    dead_letter::mark(&mut copy, &Rejection { subscription, reason, receive_count: known.receive_count, at });
    let excess = copy.size_bytes().saturating_sub(bytes_max.unwrap_or(usize::MAX));
    if excess > 0 {
        let end = reason.floor_char_boundary(reason.len().saturating_sub(excess));
        copy.headers_mut().set(REASON, reason[..end].to_owned());
    }
    copy
}

/// Why a reject failed whose copy was not accepted.
pub(super) fn refused(error: Error, graves: &Destination) -> Error {
    let (kind, is_retryable) = (error.kind(), error.is_retryable());
    Error::new(kind, "settle", "the dead letters did not take the message; it comes again")
        .retryable(is_retryable)
        .with("dead_letters", graves)
        .caused_by(error)
}
