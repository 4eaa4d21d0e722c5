//! The order system: a producer and a consumer that stay in sync over a bus, HTTP and two stores.
//!
//! ```text
//! POST /api/orders ─▶ producer: order + outbox rows, one write
//!     ├─▶ order-processing-queue ─▶ consumer: stock → payment → shipping
//!     │                               └─▶ sync-events-queue ─▶ consumer ─▶ PUT result ─▶ producer
//!     └─▶ sync-events-queue ─▶ consumer: GET order ─▶ its own copy
//! ```
//!
//! In reading order: what the services speak of ([`domain`]), how it looks outside ([`wire`]), how
//! it is kept ([`store`]), the two services ([`producer`], [`consumer`]), and how both are checked
//! against each other ([`verify`]).
//!
//! No backend is named here: a service gets its bus, store, clock, entropy and way to the other side
//! through its constructor. Only the binary `orders` puts concrete ones together. The same code runs
//! in production and in a simulation.

pub mod consumer;
pub mod domain;
pub mod http;
pub mod http_client;
pub mod metrics;
pub mod producer;
mod side_by_side;
pub mod store;
pub mod verify;
pub mod wire;
