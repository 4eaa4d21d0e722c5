//! The contract, shown on this bus: with everything on, with each capability off in turn, on a
//! journal, and with each layer around it.

mod harness;

use std::process::ExitCode;

use bus::capability::{Counting, LeaseTerms, Order};
use bus::conformance::Suite;
use bus::layer::{self, LayerExt};
use bus::metrics::{Metrics, Registry};
use bus_memory::MemoryOptions;

use harness::Memory;

fn main() -> ExitCode {
    let on = MemoryOptions::default;
    let lease = on().lease;
    Suite::new()
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
        .setting("without dead letters", move || Memory::with(MemoryOptions { dead_letters: false, ..on() }))
        .setting("without groups", move || Memory::with(MemoryOptions { groups: false, ..on() }))
        .setting("without atomic batches", move || Memory::with(MemoryOptions { publish_atomic: false, ..on() }))
        .setting("without answers to settlements", move || {
            Memory::with(MemoryOptions { settle_confirmed: false, ..on() })
        })
        .setting("with approximate depth", move || Memory::with(MemoryOptions { depth: Counting::Approximate, ..on() }))
        .setting("without depth", move || Memory::with(MemoryOptions { depth: Counting::None, ..on() }))
        .setting("without purge", move || Memory::with(MemoryOptions { purge: false, ..on() }))
        .setting("with tracing", move || Memory::with(on()).wrapped(|bus, seams| bus.layer(layer::Tracing::new(seams))))
        .setting("with metrics", move || {
            let metrics = Metrics::register(&mut Registry::default());
            Memory::with(on()).wrapped(move |bus, seams| bus.layer(layer::Metering::new(metrics.clone(), seams)))
        })
        .main()
}
