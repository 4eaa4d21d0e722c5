//! The bus without what an emulation then does on top of it.

use std::time::Duration;

use bus::Contract;
use bus::capability::{LeaseTerms, Order};
use bus::conformance::Suite;
use bus_memory::MemoryOptions;

use crate::harness::Memory;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(60 * 60);

/// `suite` with the settings of this file.
pub(crate) fn with_emulations(suite: Suite) -> Suite {
    let lease = MemoryOptions::default().lease;
    suite
        .setting("dead letters emulated", move || {
            let needs = Contract { dead_letter_after: Some(5), ..Contract::default() };
            agreed(MemoryOptions { dead_letters: false, ..MemoryOptions::default() }, needs)
        })
        .setting("nack delays emulated", move || {
            let needs = Contract { nack_delay: HOUR, ..Contract::default() };
            agreed(MemoryOptions { nack_delay_max: None, ..MemoryOptions::default() }, needs)
        })
        .setting("nack delays emulated on fixed leases", move || {
            let needs = Contract { nack_delay: lease.duration.unwrap_or(HOUR) / 2, ..Contract::default() };
            let lease = LeaseTerms { extendable: false, ..lease };
            agreed(MemoryOptions { nack_delay_max: None, lease, ..MemoryOptions::default() }, needs)
        })
        .setting("long delays emulated", move || {
            let needs = Contract { delay: HOUR, ..Contract::default() };
            agreed(MemoryOptions { delay_max: Some(3 * SECOND), ..MemoryOptions::default() }, needs)
        })
        .setting("everything emulated", move || {
            let needs = Contract { delay: HOUR, nack_delay: HOUR, dead_letter_after: Some(5), ..Contract::default() };
            let options = MemoryOptions {
                dead_letters: false,
                nack_delay_max: Some(2 * SECOND),
                delay_max: Some(3 * SECOND),
                ..MemoryOptions::default()
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
                ..MemoryOptions::default()
            };
            agreed(options, needs)
        })
}

/// A bus that meets `needs` by emulation alone.
fn agreed(options: MemoryOptions, needs: Contract) -> Memory {
    Memory::with(options).wrapped(move |bus, seams| {
        let agreement = needs.negotiate(bus.capability());
        assert!(!agreement.emulations.is_empty(), "something is emulated: {agreement:?}");
        agreement.apply(bus, seams).expect("nothing is refused")
    })
}
