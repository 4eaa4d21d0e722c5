//! The bus contract in one process: its executable specification, and the default to embed.
//!
//! ```
//! use bus::{Bus, Declaration, Destination, Message, Outgoing, Receiver, Seams, SubscribeOptions, Subscription};
//! use bus_memory::{MemoryBus, MemoryOptions};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> bus::Result<()> {
//! let seams = Seams::system();
//! let bus = MemoryBus::new(seams.clone(), MemoryOptions::default());
//! let orders = Destination::new("orders")?;
//! bus.declare(&[Declaration::of(orders.clone())]).await?;
//!
//! let message = Message::new(seams.message_id("example"), &b"{\"quantity\":2}"[..]);
//! let outcomes = bus.publish(vec![Outgoing::new(orders.clone(), message)]).await;
//! assert!(outcomes[0].is_accepted());
//!
//! let receiver = bus.subscribe(&Subscription::to(orders), SubscribeOptions::default()).await?;
//! let mut deliveries = Vec::new();
//! receiver.receive(64, &mut deliveries).await?;
//! let outcomes = receiver.settle(deliveries.drain(..).map(|delivery| delivery.ack()).collect()).await;
//! assert!(outcomes[0].is_settled());
//! # Ok(())
//! # }
//! ```
//!
//! It is no broker: nobody outside the process can reach it. It runs no task of its own, reads time
//! from [`bus::Clock`] alone and has no randomness, so without a journal a run repeats exactly.
//!
//! # Where the contract leaves a choice
//!
//! * **Accepted** means on every group's queue, and with a journal synced to disk before any
//!   receiver can see it. Valid messages of one batch are accepted together, in one write; a bad
//!   one is refused alone.
//! * **Back-pressure.** A queue counts what is not settled. A batch waits, first come first served,
//!   until each of its queues is below its limits, and then goes in whole: a queue exceeds its
//!   limits by one batch at most, and no batch is too large to ever fit.
//! * **Order per key.** A message goes out only when every earlier message of its key is settled or
//!   with the same receiver, and none that is later is out. So a message that was given back waits
//!   for its followers: release them and it comes first.
//! * **Order otherwise.** What is given back keeps its place. A delayed message takes its place
//!   when it is due.
//! * **Nack delays** over [`nack_delay_max`](bus::Capability::nack_delay_max) fail as `Unsupported`
//!   and the delivery stays leased; where there is no nack delay at all, a nack returns at once.
//! * **Dead letters** of `orders` are the destination `orders-dlq`, with the headers of
//!   [`bus::dead_letter`]. One has no dead letters of its own unless it is declared itself:
//!   rejecting there fails as `Unsupported`, and so does any reject with dead letters switched off.
//!   When the dead letters are full a reject fails as `Throttled`. Either way the message stays and
//!   comes again when its lease ends.
//! * **Leases** are as long as the receiver asked for, else as the bus has them; without leases the
//!   wish is ignored. They are extended from now, up to the total cap; `Capped` is answered once they are
//!   there. Closing a receiver takes its deliveries back and reports them as lost.
//! * **Restart.** With a journal everything unsettled is back in the order of acceptance; publish
//!   delays go on, receive counts and nack delays start anew. A row that cannot be read is logged
//!   and kept under another key.
//! * **Memory.** Besides its limits a queue keeps at most 1 MiB of settled messages until the next
//!   publish frees them.
//!
//! # In the order of a message's life
//!
//! A batch is sorted and checked (`publish`), waits for room and is written (`arrival`, `ledger`),
//! enters its queues (`queue`), leaves with a receiver (`receiver`), and ends there or in the dead
//! letters (`dead_letters`).

mod backend;
mod memory_bus;
pub mod options;

mod broker;
mod topology;

mod arrival;
#[cfg_attr(not(feature = "journal"), path = "no_ledger.rs")]
mod ledger;
mod publish;

mod queue;

mod dead_letters;
mod receiver;

mod refusal;

pub use crate::backend::MemoryBackend;
pub use crate::memory_bus::MemoryBus;
pub use crate::options::MemoryOptions;
