//! The plan's faults as a question: does this one happen here, now?

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bus::{ClockExt, Destination, Message, Moment};

use super::fault::{Fault, Fired};
use super::plan::{Plan, Strength};
use crate::World;
use crate::broker::Interference;

/// Decides, counts, and stops when the world is healed. Clones are the same trouble.
#[derive(Clone, Debug)]
pub(super) struct Trouble {
    world: World,
    plan: Arc<Plan>,
    fired: Fired,
    is_healed: Arc<AtomicBool>,
}

impl Trouble {
    pub(super) fn new(world: &World, plan: &Arc<Plan>) -> Self {
        Self { world: world.clone(), plan: Arc::clone(plan), fired: Fired::default(), is_healed: Arc::default() }
    }

    /// What has happened so far.
    #[must_use]
    pub(super) fn fired(&self) -> &Fired {
        &self.fired
    }

    pub(super) fn heal(&self) {
        self.is_healed.store(true, Ordering::Release);
        self.world.chronicle().note("world", "healed", "", "");
    }

    fn strength(&self, fault: Fault) -> Option<Strength> {
        let is_over = self.is_healed.load(Ordering::Acquire);
        self.plan.faults.get(&fault).copied().filter(|_| !is_over)
    }

    /// Notes that it did happen, to `whom`.
    pub(super) fn note(&self, fault: Fault, whom: &str) {
        self.fired.note(fault);
        self.world.chronicle().note_aside("fault", fault.name(), whom);
    }

    /// Whether `fault` happens to `whom`; then it is noted.
    pub(super) fn strikes(&self, fault: Fault, whom: &str) -> bool {
        let Some(strength) = self.strength(fault) else { return false };
        let strikes = self.world.chance().fires(strength.per_mille, fault.name(), whom);
        if strikes {
            self.note(fault, whom);
        }
        strikes
    }

    /// The same, with how long it takes: at least a millisecond.
    pub(super) fn strikes_for(&self, fault: Fault, whom: &str) -> Option<Duration> {
        let strength = self.strength(fault)?;
        self.strikes(fault, whom).then(|| {
            let length = self.world.chance().between(1, strength.max_ms, "length of fault", whom);
            Duration::from_millis(length)
        })
    }

    /// Waits if `fault` happens to `whom`.
    pub(super) async fn wait(&self, fault: Fault, whom: &str) {
        if let Some(length) = self.strikes_for(fault, whom) {
            self.world.seams().clock.sleep(length).await;
        }
    }

    /// When a timed fault happens, from the start: at most three times before the world is healed.
    pub(super) fn times(&self, fault: Fault) -> Vec<(Duration, Duration)> {
        let Some(strength) = self.plan.faults.get(&fault) else { return Vec::new() };
        let count = 1 + strength.per_mille / 100;
        let chance = self.world.chance();
        let time = |number: u32| {
            let name = format!("{} {number}", fault.name());
            let at = chance.between(100, self.plan.healed_at_ms.min(10_000), "time of fault", &name);
            (
                Duration::from_millis(at),
                Duration::from_millis(chance.between(50, strength.max_ms, "length of fault", &name)),
            )
        };
        let mut times: Vec<(Duration, Duration)> = (0..count).map(time).collect();
        times.sort_unstable();
        times
    }
}

/// The faults inside the broker.
#[derive(Debug)]
pub(super) struct BrokerTrouble {
    trouble: Trouble,
    stalls: Vec<(Duration, Duration)>,
}

impl BrokerTrouble {
    pub(super) fn new(trouble: &Trouble) -> Self {
        Self { trouble: trouble.clone(), stalls: trouble.times(Fault::HeadStall) }
    }
}

impl Interference for BrokerTrouble {
    fn copies(&self, _destination: &Destination, message: &Message) -> Vec<Duration> {
        let id = message.id().to_string();
        let first = self.trouble.strikes_for(Fault::Delayed, &id).unwrap_or_default();
        let reordered = self.trouble.strikes_for(Fault::Reordered, &id).map_or(Duration::ZERO, |length| length / 20);
        let mut copies = vec![first + reordered];
        if self.trouble.strikes(Fault::Duplicate, &id) {
            copies.push(Duration::ZERO);
        }
        if let Some(length) = self.trouble.strikes_for(Fault::DuplicateLate, &id) {
            copies.push(length * 5);
        }
        copies
    }

    fn stalled_until(&self, destination: &Destination, now: Moment) -> Option<Moment> {
        let now = now.since_origin();
        let stall = self.stalls.iter().find(|(at, length)| (*at..*at + *length).contains(&now))?;
        self.trouble.strength(Fault::HeadStall)?;
        self.trouble.note(Fault::HeadStall, destination.as_str());
        Some(Moment::from_origin(stall.0 + stall.1))
    }

    fn early_end(&self, message: &Message, _receive_count: u32) -> Option<Duration> {
        let id = message.id().to_string();
        self.trouble.strikes_for(Fault::LeaseEndsEarly, &id).map(|length| length / 100)
    }

    fn forgotten_ack(&self, message: &Message) -> Option<Duration> {
        self.trouble.strikes_for(Fault::AckLost, &message.id().to_string())
    }
}
