//! One contract for message buses: write services against [`Bus`], choose the broker by URL.
//!
//! A backend crate implements [`Bus`] and [`Receiver`]; this crate gives both sides their words,
//! states what every answer means, and builds the parts that should not be written twice: the
//! delivery [`pipeline`], the [`outbox`] relay and the [`inbox`] that makes an effect happen once.
//!
//! # In the order of a message's life
//!
//! | step | read |
//! |---|---|
//! | a [`Message`] gets an id, a key, headers and a body | [`message`], [`headers`], [`name`] |
//! | an application states what it needs, a bus what it can | [`contract`], [`capability`] |
//! | a URL picks the backend | [`registry`], [`url`] |
//! | rows written with the effect become published messages | [`outbox`] |
//! | [`Bus::publish`] answers per message | [`outcome`] |
//! | a [`Receiver`] hands out deliveries on a lease | [`delivery`] |
//! | the pipeline runs the handler and settles | [`pipeline`], [`settlement`] |
//! | seen, effect and outgoing messages are one write | [`inbox`] |
//!
//! # What it is not
//!
//! It is no client of any broker, speaks no HTTP and opens no database. It reads no ambient clock
//! and draws no ambient randomness: both come in through [`clock`] and [`entropy`], so the same
//! code runs in production and in a deterministic simulation.
//!
//! # Example
//!
//! ```
//! use bus::{Destination, Message, Outgoing, Seams};
//!
//! # fn main() -> Result<(), bus::Error> {
//! let seams = Seams::system();
//! let orders = Destination::new("order-processing-queue")?;
//! let message = Message::new(seams.message_id("example"), &b"{\"quantity\":2}"[..])
//!     .with_key(bus::MessageKey::new("ORD-1")?)
//!     .with_content_type("application/json");
//! let outgoing = Outgoing::new(orders, message);
//! assert_eq!(outgoing.message().key().map(|key| key.as_str()), Some("ORD-1"));
//! # Ok(())
//! # }
//! ```

pub mod capability;
pub mod clock;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod contract;
pub mod dead_letter;
pub mod delivery;
pub mod entropy;
pub mod error;
pub mod headers;
pub mod inbox;
mod interface;
pub mod layer;
pub mod message;
pub mod middleware;
pub mod name;
pub mod outbox;
pub mod outcome;
pub mod pipeline;
pub mod registry;
pub mod seams;
pub mod settlement;
pub mod topology;
pub mod typed;
pub mod url;

pub use capability::Capability;
pub use clock::{Clock, ClockExt, Moment};
pub use contract::Contract;
pub use delivery::{Delivery, Lease, Returns, Token, Unsettled};
pub use entropy::Entropy;
pub use error::{Error, ErrorKind, Result};
pub use headers::Headers;
pub use interface::{Bus, BusExt, Receiver, ReceiverExt};
pub use message::{Message, Outgoing};
pub use name::{Destination, Group, MessageId, MessageKey, Subscription};
pub use outcome::{ExtendOutcome, PublishOutcome, Receipt, SettleOutcome};
pub use registry::Registry;
pub use seams::Seams;
pub use settlement::{Settlement, Verdict};
pub use topology::{BusState, Declaration, Depth, SubscribeOptions};
pub use url::BusUrl;
