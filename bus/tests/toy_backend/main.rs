//! A backend for a broker that is a few maps in this process.

/// Stands for the server and its client library; yours come from somewhere else.
mod broker;

/// `ToyBus`: what services hold.
mod bus;
/// The options, and the URL that gives them.
mod config;
/// `ToyReceiver`: from the broker into the hands of a consumer.
mod consumer;
/// Messages as frames, and back.
mod convert;
/// The broker's answers in the words of the contract.
mod error;
/// What is in a receiver's hand, and how it leaves it.
mod settle;

/// The suite, on this backend.
mod harness;

use ::bus::conformance::Suite;

fn main() -> std::process::ExitCode {
    Suite::new()
        .setting("toy", || harness::Toy::at("toy://"))
        .setting("toy with short leases", || harness::Toy::at("toy://?lease_seconds=2"))
        .main()
}
