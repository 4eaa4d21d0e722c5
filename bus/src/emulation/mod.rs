//! What a bus cannot do itself, done on top of it: one module, one layer and one price each.
//!
//! | emulation | for a bus |
//! |---|---|
//! | [`delay`](mod@delay) | that delays a published message, but not as long as is needed |
//! | [`nack_delay`](mod@nack_delay) | that does not delay a retry, or not as long |
//! | [`dead_letters`](mod@dead_letters) | that keeps no dead letters |
//!
//! Applications do not put them on one by one: [`Contract::negotiate`](crate::Contract::negotiate)
//! finds out which are needed and what they cost, and
//! [`Agreement::apply`](crate::contract::Agreement::apply) puts on those and no other, in the order
//! of the table, the first next to the bus.
//!
//! Order per key on a bus without it is no layer: the lanes of the [pipeline](crate::pipeline) keep it
//! within one consumer. Large bodies need a store, so they are not emulated without being asked for.

pub mod dead_letters;
pub mod delay;
mod in_hand;
pub mod nack_delay;
mod screen;

use std::sync::Arc;
use std::time::Duration;

pub use dead_letters::dead_letters;
pub use delay::delay;
pub use nack_delay::nack_delay;

use crate::{Bus, Capability, Error, ErrorKind, Receiver, Seams, SettleOutcome, Settlement};

/// One emulation with its numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Emulation {
    /// [`delay`](mod@delay).
    Delay {
        /// Longest delay that is used.
        max: Duration,
    },
    /// [`nack_delay`](mod@nack_delay).
    NackDelay {
        /// Longest delay that is used.
        max: Duration,
    },
    /// [`dead_letters`](mod@dead_letters).
    DeadLetters,
}

impl Emulation {
    /// What a bus of this capability can do with the emulation around it.
    #[must_use]
    pub fn capability(self, bus: &Capability) -> Capability {
        match self {
            Self::Delay { max } => delay::capability(bus, max),
            Self::NackDelay { max } => nack_delay::capability(bus, max),
            Self::DeadLetters => dead_letters::capability(bus),
        }
    }

    /// `bus` with the emulation around it.
    pub fn put_on(self, bus: Arc<dyn Bus>, seams: &Seams) -> Arc<dyn Bus> {
        match self {
            Self::Delay { max } => delay(bus, seams, max),
            Self::NackDelay { max } => nack_delay(bus, seams, max),
            Self::DeadLetters => dead_letters(bus, seams),
        }
    }
}

/// Settles a part of a batch: no call for an empty one, and exactly one answer each, so that the
/// answers can be put back in their places.
async fn settle_some(batch: Vec<Settlement>, next: &dyn Receiver) -> Vec<SettleOutcome> {
    if batch.is_empty() {
        return Vec::new();
    }
    let count = batch.len();
    let mut outcomes = next.settle(batch).await;
    outcomes.resize_with(count, || {
        let text = "the backend answered another number of settlements than it was given";
        SettleOutcome::Failed(Error::new(ErrorKind::Unexpected, "settle", text))
    });
    outcomes
}
