//! The plan's faults as a question: does this one happen here, now?

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bus::{ClockExt, Destination, Message, Moment};

use super::fault::{Fault, Fired};
use super::plan::{Plan, Strength, Strike};
use super::script::Script;
use crate::World;
use crate::broker::Interference;

/// Decides, counts, and stops when the world is healed. Clones are the same trouble.
#[derive(Clone, Debug)]
pub(super) struct Trouble {
    world: World,
    plan: Arc<Plan>,
    fired: Fired,
    is_healed: Arc<AtomicBool>,
    script: Script,
}

/// A fault that comes by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Timed {
    pub(super) at: Duration,
    pub(super) length: Duration,
    pub(super) number: u32,
}

impl Trouble {
    pub(super) fn new(world: &World, plan: &Arc<Plan>, script: Script) -> Self {
        let (world, plan) = (world.clone(), Arc::clone(plan));
        Self { world, plan, fired: Fired::default(), is_healed: Arc::default(), script }
    }

    /// What is written of it.
    pub(super) fn script(&self) -> &Script {
        &self.script
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
        self.world.chronicle().tell("trouble", fault.name(), || [self.script.stable(whom), String::new()]);
    }

    /// Whether `fault` happens to `whom`; then it is noted.
    pub(super) fn strikes(&self, fault: Fault, whom: &str) -> bool {
        self.happens(fault, whom, whom, false).is_some()
    }

    /// The same, with how long it takes: at least a millisecond.
    pub(super) fn strikes_for(&self, fault: Fault, whom: &str) -> Option<Duration> {
        self.happens(fault, whom, whom, true)
    }

    /// The same where a script says more of `whom` than the dice know, at `place`.
    pub(super) fn strikes_at(&self, fault: Fault, whom: &str, place: &str) -> Option<Duration> {
        self.happens(fault, whom, place, fault == Fault::StoreSlow)
    }

    fn happens(&self, fault: Fault, whom: &str, place: &str, takes_time: bool) -> Option<Duration> {
        let strength = self.strength(fault)?;
        let chance = self.world.chance();
        let drawn = chance.fires(strength.per_mille, fault.name(), whom).then(|| {
            let length = if takes_time { chance.between(1, strength.max_ms, "length of fault", whom) } else { 0 };
            Duration::from_millis(length)
        });
        let length = self.script.decide(fault, place, drawn)?;
        self.note(fault, whom);
        Some(length)
    }

    /// Waits if `fault` happens to `whom`.
    pub(super) async fn wait(&self, fault: Fault, whom: &str) {
        if let Some(length) = self.strikes_for(fault, whom) {
            self.world.seams().clock.sleep(length).await;
        }
    }

    /// When a timed fault happens, from the start, and for how long: at most three times before the
    /// world is healed.
    pub(super) fn times(&self, fault: Fault) -> Vec<(Duration, Duration)> {
        self.timed(fault).into_iter().map(|timed| (timed.at, timed.length)).collect()
    }

    /// The same with the number of each.
    pub(super) fn timed(&self, fault: Fault) -> Vec<Timed> {
        let Some(strength) = self.plan.faults.get(&fault) else { return Vec::new() };
        let milliseconds = Duration::from_millis;
        let mut times: Vec<Timed> = match &self.plan.strikes {
            Some(strikes) => strikes
                .iter()
                .filter(|strike| strike.fault == fault)
                .filter_map(|strike| Some((strike, strike.at_ms?)))
                .map(|(strike, at)| Timed {
                    at: milliseconds(at),
                    length: milliseconds(strike.length_ms),
                    number: strike.nth,
                })
                .collect(),
            None => (0..=strength.per_mille / 100).map(|number| self.draw_time(fault, strength, number)).collect(),
        };
        times.sort_unstable();
        for Timed { at, length, number } in &times {
            let milliseconds = |span: &Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
            let (at_ms, length_ms) = (Some(milliseconds(at)), milliseconds(length));
            self.script.note_timed(Strike { fault, whom: String::new(), nth: *number, at_ms, length_ms });
        }
        times
    }

    fn draw_time(&self, fault: Fault, strength: &Strength, number: u32) -> Timed {
        let chance = self.world.chance();
        let name = format!("{} {number}", fault.name());
        let at = chance.between(100, self.plan.healed_at_ms.min(10_000), "time of fault", &name);
        let length = chance.between(50, strength.max_ms, "length of fault", &name);
        Timed { at: Duration::from_millis(at), length: Duration::from_millis(length), number }
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
