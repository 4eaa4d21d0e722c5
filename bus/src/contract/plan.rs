//! Which emulations close the gap between needs and bus.

use std::time::Duration;

use super::Contract;
use crate::Capability;
use crate::emulation::Emulation;

/// Emulations, innermost first, and what the bus can do behind them.
pub(super) struct Plan {
    pub(super) emulations: Vec<Emulation>,
    pub(super) capability: Capability,
}

impl Plan {
    /// The emulations that meet a need the bus does not; one that would not suffice is left out.
    pub(super) fn of(contract: &Contract, bus: &Capability) -> Self {
        let mut plan = Self { emulations: Vec::new(), capability: bus.clone() };
        let has_delay = bus.delay_max.is_some_and(|native| !native.is_zero());
        if has_delay && longest(bus.delay_max) < contract.delay {
            plan.add(Emulation::Delay { max: contract.delay });
        }
        if longest(bus.nack_delay_max) < contract.nack_delay {
            let emulation = Emulation::NackDelay { max: contract.nack_delay };
            let offered = longest(emulation.capability(bus).nack_delay_max);
            if offered >= contract.nack_delay && lease_covers_both(contract, bus) {
                plan.add(emulation);
            }
        }
        if contract.dead_letter_after.is_some() && !bus.dead_letters {
            plan.add(Emulation::DeadLetters);
        }
        plan
    }

    fn add(&mut self, emulation: Emulation) {
        self.capability = emulation.capability(&self.capability);
        self.emulations.push(emulation);
    }

    pub(super) fn has(&self, is_wanted: impl Fn(&Emulation) -> bool) -> bool {
        self.emulations.iter().any(is_wanted)
    }
}

/// A lease that is not extended must last for the handler and for the delay after it.
fn lease_covers_both(contract: &Contract, bus: &Capability) -> bool {
    let fixed = bus.lease.duration.filter(|_| !bus.lease.extendable);
    let whole = [fixed, bus.lease.total_max].into_iter().flatten().min();
    whole.is_none_or(|whole| contract.handler_time.saturating_add(contract.nack_delay) <= whole)
}

/// A bus without delays delays by nothing.
pub(super) fn longest(delay_max: Option<Duration>) -> Duration {
    delay_max.unwrap_or_default()
}
