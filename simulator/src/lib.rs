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
//! # A flow of your own
//!
//! `examples/two_services.rs` is one, in less than a hundred lines; it needs `bus` alone
//! (`default-features = false`). It takes
//!
//! 1. services that get their bus and [`Seams`](bus::Seams) by constructor, as for any other bus;
//! 2. a [`Broker`](broker::Broker) of one of the four [models](broker::Model), which outlives them;
//! 3. a [`Node`](node::Node) for each process, [run on the broker](node::Node::run_on) life after life, with a
//!    [`Gate`](gate::Gate) that says at which of its calls it dies, around the bus by [`gated`](gated::gated);
//! 4. what else goes wrong: on the way a layer such as [`FaultInjection`](bus::layer::FaultInjection), inside the
//!    broker an [`Interference`](broker::Interference), with the machine's calendar
//!    [`NodeClock::set_ahead`](clock::NodeClock::set_ahead), on your disks what `losses` take at a death. Draw
//!    from [`World::chance`], by purpose and name, what a seed decides;
//! 5. an end, since services run for ever: [a time](bus::ClockExt::timeout_here) after which all must be done;
//! 6. what must be true then, as the scenario's answer: [`simulate`] hands it out.
//!
//! A seed that fails does so each time: [`simulate_with_lines`] tells what happened, one [`Event`](chronicle::Event)
//! a line. Where nothing moves any more, or nothing but retries, the run is [`Stuck`] and says who waits for what.
//!
//! For the same seed to be the same run, what runs in it
//!
//! * takes time and randomness from its seams: there is no timer of tokio's here, and asking for one panics;
//! * iterates over no `HashMap`, and has no `select!` without `biased;`;
//! * starts no threads (`spawn_blocking` is one) and opens no sockets;
//! * keeps the tasks it spawns in a `JoinSet` or its like, which ends with it: a detached task outlives a crash.
//!
//! # Modules
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
mod process;
pub mod world;

pub use world::{Run, Stuck, World, simulate, simulate_with_lines};
