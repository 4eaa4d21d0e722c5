//! What the tests share: the order system in virtual time, and the real binary.
//!
//! * [`world`] runs producer and consumer in one thread on paused time, without sockets, over the
//!   in-memory bus and stores, and can kill a service at any call through a seam.
//! * [`harness`] runs one pipeline or relay on one queue and records what its handlers do.
//! * [`brokers`] finds real brokers, and cuts them off.
//! * [`scrape`] reads what `/metrics` answers, strictly.
//! * [`orders`] runs the binary `orders` as a user would.

pub mod brokers;
pub mod harness;
pub mod orders;
pub mod scrape;
pub mod world;
