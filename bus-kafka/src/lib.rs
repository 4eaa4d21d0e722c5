//! Apache Kafka, and servers that speak its protocol, behind the bus contract.
//!
//! ```no_run
//! use bus::{Bus, BusUrl, Declaration, Destination, Registry, Seams};
//! use bus_kafka::KafkaBackend;
//!
//! # async fn example() -> bus::Result<()> {
//! let registry = Registry::new().with(KafkaBackend);
//! let url = BusUrl::parse("kafka://127.0.0.1:9092")?;
//! let bus = registry.open(&url, &Seams::system()).await?;
//! bus.declare(&[Declaration::of(Destination::new("order-processing-queue")?)]).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Where the contract meets Kafka
//!
//! * **Accepted** is the delivery report of an idempotent producer with `acks=all`. A report that
//!   does not come in time is `Unknown`.
//! * **A commit is a position.** Each partition has a window of what was read; its watermark, the
//!   first offset not settled, is what is committed. What was settled beyond it is named in the
//!   commit's metadata, so that it does not come again either, as long as it fits in there. The
//!   window is bounded: a message nobody settles halts its partition, not the memory.
//! * **Members.** The receivers of one subscription on one bus are one member of the consumer group
//!   and share its partitions. A key in the hand of one is kept from the others.
//! * **Rebalances** are cooperative. A partition that is taken away is drained for a bounded time,
//!   committed inside the callback, and fenced: what is still in hand is `LeaseLost` and told.
//! * **One store.** The option `holder` names the store that keeps the effects. A group takes members of
//!   one holder only: `subscribe` answers `Conflict` while one of another is seen to be live, and a receiver whose
//!   member comes back to such a group, after its session had ended, is `Closed`. Where the members cannot be seen
//!   (no right to describe the group, or any broker of the cluster down) a member warns, stays and looks again.
//! * **A nack** keeps the message here, and its key behind it, until its delay has passed. A process
//!   that ends cuts the delay short: the next one gets the message at once.
//! * **Dead letters** are produced to `<destination>-dlq` and confirmed before the offset passes.
//! * **Back-pressure** pauses partitions; polling goes on, so the group does not time a member out.
//!   A publish waits for room in the producer's queue; an idempotent producer that lost its sequence is
//!   replaced, and what it had sent is `Unknown` where the brokers did not say.
//! * **Partitions** added to a topic move its keys. A member that finds other partitions than at the
//!   last commit of its group warns of it; with the option `partitions` declaring is a conflict.
//! * **Metadata** travels in record headers, the key is the record's. Keys are placed as Java
//!   clients place them.
//! * **Settlements** are answered as `Sent`: the commit follows within a fifth of a second, at a
//!   rebalance and at close. A process that is killed before gets them again.

mod backend;
pub mod config;
mod connect;
mod error;
mod traffic;

mod bus;
mod declare;
mod desk;
mod shared;
mod topology;

mod convert;
mod names;
mod producer;
mod publish;

mod consumer;
mod hand;
mod holder;
mod lag;
mod member;
mod offsets;
mod poll;
mod quarantine;
mod rebalance;
mod record;
mod settle;

pub use crate::backend::KafkaBackend;
pub use crate::bus::KafkaBus;
pub use crate::config::KafkaOptions;
pub use crate::lag::PartitionLag;
