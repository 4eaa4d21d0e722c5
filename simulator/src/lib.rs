//! A deterministic world for message-driven services: brokers, stores, networks and processes that
//! fail on purpose, in virtual time, from one seed.
//!
//! The services under test are the real ones: they get their [`Bus`](bus::Bus), clock and entropy by
//! constructor and do not know that they are simulated. The same seed makes the same run, event by
//! event, in any process.
//!
//! ```
//! use bus::ClockExt;
//! use std::time::Duration;
//!
//! let run = || simulator::simulate(7, Duration::from_secs(60), async |world| {
//!     world.seams().clock.sleep(Duration::from_secs(30)).await;
//!     world.chronicle().note("shop", "open", "", "");
//! });
//! let (one, two) = (run(), run());
//! assert!(one.ended.is_ok());
//! assert_eq!(one.hash, two.hash);
//! ```
//!
//! | module | one idea |
//! |---|---|
//! | [`clock`] | virtual nanoseconds and a heap of who waits until when |
//! | [`chance`] | randomness by seed, purpose and identity |
//! | [`chronicle`] | what happened, as a rolling hash |
//! | [`node`] | processes that die and start again |
//! | [`gate`] | every call a process makes to the outside, where it may die or wait |
//! | [`gated`] | a bus whose every call is such a place |
//! | [`world`] | all of that, run to an end or to *stuck* |
//! | [`broker`] | models of SQS, SQS FIFO, RabbitMQ and Kafka |
#![cfg_attr(
    feature = "orders",
    doc = "| [`orders`] | the order system in this world: plan, faults, checks, planted bugs |"
)]
//!
//! It is no load generator and measures no machine: time is virtual. What a service does beside its
//! seams (a thread of its own, a socket, the machine's clock) it neither sees nor controls.

pub mod broker;
pub mod chance;
pub mod chronicle;
pub mod clock;
pub mod gate;
pub mod gated;
pub mod node;
#[cfg(feature = "orders")]
pub mod orders;
pub mod world;

pub use world::{Run, Stuck, World, simulate};
