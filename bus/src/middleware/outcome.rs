//! A handler's answer as a word of few, for spans and metrics.

use crate::pipeline::{Failure, Handled};

/// The handler's future was dropped: its time was over, its lease was lost, or the process stops.
pub(super) const CANCELLED: &str = "cancelled";

/// The word for an answer.
pub(super) fn word_for(handled: &Handled) -> &'static str {
    match handled {
        Ok(()) => "ok",
        Err(Failure::Retry(_) | Failure::RetryAfter(..)) => "retry",
        Err(Failure::Reject(_)) => "reject",
        Err(Failure::Unavailable(_)) => "unavailable",
    }
}
