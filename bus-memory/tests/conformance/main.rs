//! The contract, shown on this bus: with everything on, with each capability off in turn, on a
//! journal, over a wire whose broker is killed, and with each layer and emulation around it.

mod emulations;
mod harness;
#[cfg(feature = "journal")]
mod journaled;
mod layers;
mod wire;

use std::process::ExitCode;

use bus::capability::{Counting, LeaseTerms, Order};
use bus::conformance::Suite;
use bus_memory::MemoryOptions;

use emulations::with_emulations;
use harness::Memory;
use layers::with_layers;
use wire::Wire;

fn main() -> ExitCode {
    let on = MemoryOptions::default;
    let lease = on().lease;
    let suite = Suite::new();
    // First, because it takes real time: the others run beside it.
    #[cfg(feature = "journal")]
    let suite = suite.setting("on a journal", move || journaled::Journaled::with(on()));
    let suite = suite
        .setting("everything on", move || Memory::with(on()))
        .setting("without a size limit", move || Memory::with(MemoryOptions { message_bytes_max: None, ..on() }))
        .setting("without order", move || Memory::with(MemoryOptions { order: Order::None, ..on() }))
        .setting("without delays", move || Memory::with(MemoryOptions { delay_max: None, ..on() }))
        .setting("without nack delays", move || Memory::with(MemoryOptions { nack_delay_max: None, ..on() }))
        .setting("without leases", move || {
            Memory::with(MemoryOptions { lease: LeaseTerms { duration: None, ..lease }, ..on() })
        })
        .setting("without extensions", move || {
            Memory::with(MemoryOptions { lease: LeaseTerms { extendable: false, ..lease }, ..on() })
        })
        .setting("without a cap on leases", move || {
            Memory::with(MemoryOptions { lease: LeaseTerms { total_max: None, ..lease }, ..on() })
        })
        .setting("without receive counts", move || Memory::with(MemoryOptions { receive_count: false, ..on() }))
        .setting("with counted releases", move || Memory::with(MemoryOptions { release_uncounted: false, ..on() }))
        .setting("without dead letters", move || Memory::with(MemoryOptions { dead_letters: false, ..on() }))
        .setting("without groups", move || Memory::with(MemoryOptions { groups: false, ..on() }))
        .setting("without atomic batches", move || Memory::with(MemoryOptions { publish_atomic: false, ..on() }))
        .setting("without answers to settlements", move || {
            Memory::with(MemoryOptions { settle_confirmed: false, ..on() })
        })
        .setting("with approximate depth", move || Memory::with(MemoryOptions { depth: Counting::Approximate, ..on() }))
        .setting("without depth", move || Memory::with(MemoryOptions { depth: Counting::None, ..on() }))
        .setting("without purge", move || Memory::with(MemoryOptions { purge: false, ..on() }))
        .setting("over a wire", move || Wire::with(on()))
        .setting("over a wire to a broker that forgets", move || Wire::forgetting(on()));
    with_emulations(with_layers(suite)).main()
}
