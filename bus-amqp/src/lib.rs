//! RabbitMQ behind the bus contract.
//!
//! ```no_run
//! use bus::{BusUrl, Declaration, Destination, Registry, Seams};
//! use bus_amqp::AmqpBackend;
//!
//! # async fn example() -> bus::Result<()> {
//! let registry = Registry::new().with(AmqpBackend);
//! let url = BusUrl::parse("amqp://guest:guest@127.0.0.1:5672/%2f")?;
//! let bus = registry.open(&url, &Seams::system()).await?;
//! bus.declare(&[Declaration::of(Destination::new("order-processing-queue")?)]).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Where the contract meets RabbitMQ
//!
//! * **Destinations** are queues of their name, reached over the default exchange, so that foreign
//!   clients need nothing of ours. That leaves no place for further groups.
//! * **Accepted** is confirmed *and* routed. A window of messages is on its way at a time; a
//!   connection that is lost before the confirm makes them `Unknown`. While an alarm blocks
//!   publishers, messages are refused as retryable, and [`state`](::bus::Bus::state) tells why.
//! * **Connections**: one to publish and one for everything else, so that an alarm holds up no
//!   acknowledgement. Both are made anew by this crate, not by the client.
//! * **Deliveries** are held until settled or disconnected; the server's `consumer_timeout` ends that
//!   after 30 minutes and nothing prolongs it. A token belongs to its channel: after a reconnect it is
//!   `LeaseLost`, and [`lost`](::bus::Receiver::lost) tells.
//! * **Acknowledgements** have no answer. They go out at once, many in one frame, and
//!   [`close`](::bus::Receiver::close) waits for a round trip behind them.
//! * **Delays** (a nack's or a publish's) are kept in one quorum queue for each delay class and
//!   destination, from where RabbitMQ hands them on with confirmations. A delay is rounded up to its
//!   class: never early, late by up to as much again, and no long one holds a short one up.
//! * **Dead letters** are copied to `<destination>-dlq`, confirmed, and then acknowledged here. The
//!   queue's own dead-lettering is only a backstop, since it counts receives and not attempts.
//! * **Receive counts** are a quorum queue's `x-delivery-count`; a copy takes its count along.
//! * **Ids**: the property `message-id`. Without one a message is known by its content: RabbitMQ names
//!   none, and an id must be the same whenever a message comes again.
//! * **Order** is none: whatever goes back may be overtaken. Lanes in one consumer keep what they get.
//! * **A queue that somebody deleted** is declared again by whoever needs it next, where this bus had
//!   declared it: its consumer within a moment, its publishers with the next attempt, which the
//!   refused message allows. What was in it is lost. Others are `NotFound` until they are there again.
//!
//! # A server killed right after a declaration
//!
//! RabbitMQ 3.10 writes which log belongs to which quorum queue into a table (`names.dets` in its data
//! directory) only when nobody has used that table for half a second: a queue just declared was there
//! after 1.0 s. A server that is killed before starts with an empty queue in its place, without a
//! leader: nothing can be published to it or received from it until somebody deletes it, and what it
//! had accepted is lost. So declare queues when a system is set up, not with the first message, and
//! take a message for safe when its queue is older than that. Wait queues are declared with the first
//! delay of a class. A server that is shut down, or killed later, keeps everything.

mod backend;
pub mod config;
mod connect;
mod error;
mod traffic;

mod bus;
mod delay;
mod queues;
mod shared;

mod convert;
mod publish;
mod publisher;
mod returned;
mod values;

mod consumer;
mod feed;
mod settle;
mod table;

pub use crate::backend::AmqpBackend;
pub use crate::bus::AmqpBus;
pub use crate::config::{AmqpOptions, QueueKind};
