//! Amazon SQS, and servers that speak its protocol, behind the bus contract.
//!
//! ```no_run
//! use bus::{Bus, BusUrl, Declaration, Destination, Registry, Seams};
//! use bus_sqs::SqsBackend;
//!
//! # async fn example() -> bus::Result<()> {
//! let registry = Registry::new().with(SqsBackend);
//! let url = BusUrl::parse("sqs://ap-northeast-2?endpoint=http://127.0.0.1:4566")?;
//! let bus = registry.open(&url, &Seams::system()).await?;
//! bus.declare(&[Declaration::of(Destination::new("order-processing-queue")?)]).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Where the contract meets SQS
//!
//! * **Accepted** is the success entry of `SendMessageBatch`. An entry that failed by no fault of
//!   ours is sent up to three times; a call without an answer is `Unknown`.
//! * **Batches.** Sends, deletes and changes of visibility are gathered to ten entries and 1 MiB a
//!   call. What finds no call under way goes at once, so an idle queue costs no latency.
//! * **Polls.** One long poll waits while nothing comes; full ones double their number. A poll
//!   cannot be called off: what it brings after a stop is given back at once, and
//!   [`close`](::bus::Bus::close) waits for it. That costs such a message one receive count.
//! * **Leases** are the visibility timeout, by a clock of our own that ends a little before the
//!   server's: a late delete on a standard queue "succeeds" and does nothing.
//! * **Dead letters** are sent to `<destination>-dlq` and then deleted here. The queue's redrive
//!   policy is only a backstop, since it counts receives and not attempts.
//! * **FIFO** queues have `.fifo` behind the destination's name, the key as group and the message id
//!   as deduplication id. A message that failed holds back the later ones of its key.
//! * **Metadata** travels in message attributes; beyond ten, or with names or values SQS does not
//!   take, they are packed into one. A body that is empty or not legal in XML goes as base64.
//! * **A queue the server has forgotten** is declared again when it was declared here.

mod backend;
pub mod config;
mod connect;
mod error;
mod traffic;

mod bus;
mod queues;
mod shared;

mod batcher;
mod convert;
mod publish;
mod send;

mod consumer;
mod delete;
mod poll;
mod settle;
mod table;

pub use crate::backend::SqsBackend;
pub use crate::bus::SqsBus;
pub use crate::config::SqsOptions;
