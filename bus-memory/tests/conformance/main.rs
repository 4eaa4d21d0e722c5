//! The contract, shown on this bus: with everything on, with each capability off in turn, on a
//! journal, and with each layer and emulation around it.

mod emulations;
mod harness;
mod layers;
#[cfg(feature = "journal")]
mod journaled;
mod wire;

use std::process::ExitCode;

use bus::capability::{Counting, LeaseTerms, Order};
use bus::conformance::Suite;
use bus_memory::MemoryOptions;

use emulations::with_emulations;
use harness::Memory;
use layers::with_layers;
use wire::Wire;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(60 * 60);

fn main() -> ExitCode {
    let on = MemoryOptions::default;
    let lease = on().lease;
    let suite = Suite::new()
    let suite = Suite::new();
    #[cfg(feature = "journal")]
    let suite = suite.setting("on a journal", move || journaled::Journaled::with(on()));
    suite
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
        .setting("without purge", move || Memory::with(MemoryOptions { purge: false, ..on() }));
    with_emulations(with_layers(suite)).main()
        .setting("without purge", move || Memory::with(MemoryOptions { purge: false, ..on() }))
        .setting("with tracing", move || Memory::with(on()).wrapped(|bus, seams| bus.layer(layer::Tracing::new(seams))))
        .setting("with metrics", move || {
            let metrics = Metrics::register(&mut Registry::default());
            Memory::with(on()).wrapped(move |bus, seams| bus.layer(layer::Metering::new(metrics.clone(), seams)))
        })
        .setting("dead letters emulated", move || {
            let needs = Contract { dead_letter_after: Some(5), ..Contract::default() };
            agreed(MemoryOptions { dead_letters: false, ..on() }, needs)
        })
        .setting("nack delays emulated", move || {
            let needs = Contract { nack_delay: HOUR, ..Contract::default() };
            agreed(MemoryOptions { nack_delay_max: None, ..on() }, needs)
        })
        .setting("nack delays emulated on fixed leases", move || {
            let needs = Contract { nack_delay: lease.duration.unwrap_or(HOUR) / 2, ..Contract::default() };
            let lease = LeaseTerms { extendable: false, ..lease };
            agreed(MemoryOptions { nack_delay_max: None, lease, ..on() }, needs)
        })
        .setting("long delays emulated", move || {
            let needs = Contract { delay: HOUR, ..Contract::default() };
            agreed(MemoryOptions { delay_max: Some(3 * SECOND), ..on() }, needs)
        })
        .setting("everything emulated", move || {
            let needs = Contract { delay: HOUR, nack_delay: HOUR, dead_letter_after: Some(5), ..Contract::default() };
            let options = MemoryOptions {
                dead_letters: false,
                nack_delay_max: Some(2 * SECOND),
                delay_max: Some(3 * SECOND),
                ..on()
            };
            agreed(options, needs)
        })
        .setting("everything emulated on a bus that does little else", move || {
            let needs = Contract { delay: HOUR, nack_delay: HOUR, dead_letter_after: Some(5), ..Contract::default() };
            let options = MemoryOptions {
                order: Order::None,
                lease: LeaseTerms { duration: None, extendable: false, total_max: None },
                nack_delay_max: None,
                delay_max: Some(SECOND),
                dead_letters: false,
                receive_count: false,
                groups: false,
                publish_atomic: false,
                settle_confirmed: false,
                ..on()
            };
            agreed(options, needs)
        })
        .setting("over a wire", move || Wire::with(on()))
        .setting("over a wire to a broker that forgets", move || Wire::forgetting(on()))
        .main()
}

/// A bus that meets `needs` by emulation alone.
fn agreed(options: MemoryOptions, needs: Contract) -> Memory {
    Memory::with(options).wrapped(move |bus, seams| {
        let agreement = needs.negotiate(bus.capability());
        assert!(!agreement.emulations.is_empty(), "something is emulated: {agreement:?}");
        agreement.apply(bus, seams).expect("nothing is refused")
    })
}
