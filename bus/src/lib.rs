//! One contract for message buses: write services against [`Bus`], choose the broker by URL.
//!
//! A backend crate implements [`Bus`] and [`Receiver`]; this crate gives both sides their words,
//! states what every answer means, and builds the parts that should not be written twice: the
//! delivery [`pipeline`], the [`outbox`] relay and the [`inbox`] that makes an effect happen once.
//!
//! ```
//! use bus::typed::Front;
//! use bus::{Declaration, Destination, MessageKey, Seams, Subscription};
//! use bus_memory::{MemoryBus, MemoryOptions};
//! use serde::{Deserialize, Serialize};
//! use tokio_util::sync::CancellationToken;
//!
//! #[derive(Serialize, Deserialize)]
//! struct Order {
//!     quantity: u32,
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> bus::Result<()> {
//! let seams = Seams::system();
//! let front = Front::new(MemoryBus::new(seams.clone(), MemoryOptions::default()), seams);
//! let orders = Destination::new("orders")?;
//! front.bus().declare(&[Declaration::of(orders.clone())]).await?;
//!
//! // `Ok`: the bus took responsibility.
//! front.publish_json(&orders, MessageKey::new("ORD-1")?, &Order { quantity: 2 }).await?;
//!
//! let shutdown = CancellationToken::new();
//! let done = shutdown.clone();
//! let pipeline = front.subscribe_json(Subscription::to(orders), move |order: Order, _| {
//!     assert_eq!(order.quantity, 2);
//!     done.cancel();
//!     // `Ok` acknowledges.
//!     async { Ok(()) }
//! });
//! pipeline.run(shutdown).await
//! # }
//! ```
//!
//! # In the order of a message's life
//!
//! | step | read |
//! |---|---|
//! | a [`Message`] gets an id, a key, headers and a body | [`message`], [`headers`], [`name`] |
//! | or a value becomes one, and a message a value | [`typed`] |
//! | an application states what it needs, a bus what it can | [`contract`], [`capability`] |
//! | what it cannot is done on top of it | [`emulation`] |
//! | a URL picks the backend, and what is declared on it exists | [`registry`], [`url`], [`topology`] |
//! | layers change what the bus does around each call | [`layer`] |
//! | rows written with the effect become published messages | [`outbox`] |
//! | [`Bus::publish`] answers per message | [`outcome`] |
//! | a [`Receiver`] hands out deliveries on a lease | [`delivery`] |
//! | the pipeline runs the handler and settles | [`pipeline`], [`settlement`] |
//! | middleware changes what happens around the handler | [`middleware`] |
//! | seen, effect and outgoing messages are one write | [`inbox`] |
//! | what a message causes belongs to its trace | [`trace_context`] |
//! | what was rejected is kept with its provenance, found and replayed | [`dead_letter`] |
#![cfg_attr(feature = "metrics", doc = "| all of it is counted and timed | [`metrics`] |")]
#![cfg_attr(
    feature = "conformance",
    doc = "| a backend is written, and shows that it keeps all this | [`writing_a_backend`], [`conformance`] |"
)]
//!
//! Beside them stand [`error`], time and randomness from outside ([`seams`], [`clock`], [`entropy`]) and
//! the [`rate`] of a throttle.
//!
//! The examples `hello`, `competing_consumers`, `retry_and_dead_letter`, `custom_layer` and `outbox`
//! (`cargo run -p bus --example hello`) tell a story each.
//!
//! # What it is not
//!
//! It is no client of any broker, speaks no HTTP and opens no database. It reads no ambient clock
//! and draws no ambient randomness: both come in through [`clock`] and [`entropy`], so the same
//! code runs in production and in a deterministic simulation.

mod breaker;
pub mod capability;
mod chance;
pub mod clock;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod contract;
pub mod dead_letter;
pub mod delivery;
pub mod emulation;
pub mod entropy;
pub mod error;
pub mod headers;
pub mod inbox;
mod interface;
pub mod layer;
pub mod message;
#[cfg(feature = "metrics")]
pub mod metrics;
pub mod middleware;
pub mod name;
pub mod outbox;
pub mod outcome;
pub mod pipeline;
pub mod rate;
pub mod registry;
pub mod seams;
pub mod settlement;
pub mod topology;
pub mod trace_context;
pub mod typed;
pub mod url;
#[cfg(feature = "conformance")]
#[doc = include_str!("../docs/writing-a-backend.md")]
pub mod writing_a_backend {}

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
pub use rate::Rate;
pub use registry::Registry;
pub use seams::Seams;
pub use settlement::{Settlement, Verdict};
pub use topology::{BusState, Declaration, Depth, SubscribeOptions};
pub use trace_context::TraceContext;
pub use url::BusUrl;
