//! What an application needs from a bus, answered before the first message.
//!
//! A [`Contract`] lists the needs. [`Contract::negotiate`] answers each of them from the bus's
//! [`Capability`]: native, emulated (how, and at what cost) or refused (why, and what would help).
//! [`Agreement::apply`] puts the emulations on, or is the error a program ends with at its start.
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//! use bus::{Bus, Contract, Seams};
//! use bus_memory::{MemoryBus, MemoryOptions};
//!
//! # fn main() -> bus::Result<()> {
//! let seams = Seams::system();
//! let bus: Arc<dyn Bus> = MemoryBus::new(seams.clone(), MemoryOptions { dead_letters: false, ..Default::default() });
//! let needs = Contract {
//!     order_per_key: true,
//!     nack_delay: Duration::from_secs(60),
//!     dead_letter_after: Some(5),
//!     ..Contract::default()
//! };
//! let agreement = needs.negotiate(bus.capability());
//! let bus = agreement.apply(bus, &seams)?;
//! assert!(bus.capability().dead_letters, "emulated from here on");
//! # Ok(())
//! # }
//! ```

mod agreement;
mod answer;
mod negotiation;
mod plan;

use std::time::Duration;

pub use agreement::Agreement;
pub use answer::{Answer, Term};

use crate::Capability;
use crate::capability::{Counting, Durability, Reach};

/// The needs of an application. Start from [`Contract::default`], which needs nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contract {
    /// The least an accepted message must survive.
    pub durability: Durability,
    /// Who must be able to receive.
    pub reach: Reach,
    /// Whether messages of one key must keep their order.
    pub order_per_key: bool,
    /// Longest publish delay that is used.
    pub delay: Duration,
    /// Longest retry delay that is used.
    pub nack_delay: Duration,
    /// Longest run of a handler: as long a delivery must be ours.
    pub handler_time: Duration,
    /// Largest message in bytes: body, headers and key.
    pub message_bytes: usize,
    /// Number of attempts after which a message goes to the dead letters; `None`: never.
    pub dead_letter_after: Option<u32>,
    /// Whether more than the default group is used.
    pub groups: bool,
    /// Whether a settlement must be answered, so that a handler's effect outside of a unit of work may
    /// rest on it.
    pub settle_confirmed: bool,
    /// The least exactness of [`Bus::depth`](crate::Bus::depth).
    pub depth: Counting,
    /// Whether [`Bus::purge`](crate::Bus::purge) is used.
    pub purge: bool,
}

impl Default for Contract {
    fn default() -> Self {
        Self {
            durability: Durability::Volatile,
            reach: Reach::Process,
            order_per_key: false,
            delay: Duration::ZERO,
            nack_delay: Duration::ZERO,
            handler_time: Duration::ZERO,
            message_bytes: 0,
            dead_letter_after: None,
            groups: false,
            settle_confirmed: false,
            depth: Counting::None,
            purge: false,
        }
    }
}

impl Contract {
    /// Answers every need from the bus's capability.
    ///
    /// The answers hold together: what an emulation takes away (a few bytes of each message, exact
    /// counting) is taken into account for the other needs.
    #[must_use]
    pub fn negotiate(&self, bus: &Capability) -> Agreement {
        negotiation::negotiate(self, bus)
    }
}
