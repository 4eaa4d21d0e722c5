//! A run as data: what is ordered, what goes wrong and when. Drawn from a seed, stored, replayed.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::fault::Fault;
use crate::broker::Model;
use crate::chance::Chance;
use crate::gate::Side;

/// Raised whenever the same plan would be run otherwise.
pub const FORMAT: u32 = 3;

/// How much goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Nothing.
    Calm,
    /// A few kinds, rarely.
    Lite,
    /// About half of the kinds, each as often as the seed says.
    Swarm,
    /// All kinds, often.
    Nightmare,
    /// One kind.
    Only(Fault),
}

impl Profile {
    /// Reads a name from the command line.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "calm" => Self::Calm,
            "lite" => Self::Lite,
            "swarm" => Self::Swarm,
            "nightmare" => Self::Nightmare,
            other => Self::Only(Fault::named(other.strip_prefix("only:")?)?),
        })
    }

    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> String {
        match self {
            Self::Only(fault) => format!("only:{}", fault.name()),
            other => format!("{other:?}").to_lowercase(),
        }
    }
}

/// How strong a kind of fault is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Strength {
    /// On how many of a thousand occasions it happens; of a timed kind, how many times it happens.
    pub per_mille: u32,
    /// Longest time it takes, in milliseconds.
    pub max_ms: u64,
}

/// A process dies at a call, unless everything is healed by then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Crash {
    /// The consumer, or the producer.
    pub is_consumer: bool,
    /// The number of its call through a seam, from 1 over all lives.
    pub call: u64,
    /// Counts calls of this kind alone, such as `apply` or `publish`; `None`: all calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    /// Before it or after.
    pub side: Side,
}

/// One fault that happens, written down: the n-th time that it could have happened there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Strike {
    /// Of this kind.
    pub fault: Fault,
    /// To whom: a message or a call, in words that hold for as long as the same customers order the same.
    pub whom: String,
    /// On which occasion there, from 1.
    pub nth: u32,
    /// When, of a kind that comes by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_ms: Option<u64>,
    /// How long it takes.
    pub length_ms: u64,
}

/// One order of the workload.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// Whose it is: the number stays when others are taken out of a plan.
    pub customer: u32,
    /// When it is placed.
    pub at_ms: u64,
    /// Of what.
    pub product: String,
    /// How many.
    pub quantity: u32,
    /// Price of one, as text.
    pub price: String,
    /// Whether it is cancelled after this time.
    pub cancelled_after_ms: Option<u64>,
}

/// Everything that decides a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// [`FORMAT`] of whoever wrote it.
    pub format: u32,
    /// The dice.
    pub seed: u64,
    /// The broker's name.
    pub broker: String,
    /// The workload.
    pub orders: Vec<Wanted>,
    /// What goes wrong.
    pub faults: BTreeMap<Fault, Strength>,
    /// What exactly happens of it; `None`: what the dice say. Kinds that no call is asked about (a wrong
    /// calendar, lost writes) happen by being among the faults.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strikes: Option<Vec<Strike>>,
    /// Who dies where.
    pub crashes: Vec<Crash>,
    /// When everything is healed, in virtual time.
    pub healed_at_ms: u64,
    /// Longest wait of a call before it begins, in microseconds.
    pub jitter_max_us: u64,
}

impl Plan {
    /// The plan of `seed`.
    #[must_use]
    pub fn draw(seed: u64, model: Model, profile: Profile, order_count: usize) -> Self {
        let dice = Chance::new(seed);
        let faults: BTreeMap<Fault, Strength> = Fault::ALL
            .iter()
            .filter(|fault| fault.excluded_by(model).is_none())
            .filter_map(|fault| Some((*fault, strength(&dice, *fault, profile)?)))
            .collect();
        // A batch of several messages comes of several orders at once.
        let is_burst = faults.contains_key(&Fault::Burst) || profile == Profile::Only(Fault::PublishPartial);
        let orders = (0..order_count).map(|number| wanted(&dice, number, is_burst)).collect();
        let crashes = crashes(&dice, &faults, order_count as u64);
        let healed_at_ms = if faults.is_empty() { 0 } else { dice.between(5_000, 40_000, "plan", "healed at") };
        let jitter_max_us = if profile == Profile::Calm { 0 } else { dice.between(0, 2_000, "plan", "jitter") };
        let broker = model.name().to_owned();
        Self { format: FORMAT, seed, broker, orders, faults, strikes: None, crashes, healed_at_ms, jitter_max_us }
    }

    /// When everything is healed.
    #[must_use]
    pub fn healed_at(&self) -> Duration {
        Duration::from_millis(self.healed_at_ms)
    }
}

fn strength(dice: &Chance, fault: Fault, profile: Profile) -> Option<Strength> {
    let name = fault.name();
    let (is_on, low, high) = match profile {
        Profile::Calm => (false, 0, 0),
        Profile::Lite => (dice.fires(200, "is on", name), 5, 30),
        Profile::Swarm => (dice.fires(500, "is on", name), 5, 150),
        Profile::Nightmare => (true, 50, 250),
        Profile::Only(only) => (fault == only, 200, 400),
    };
    let per_mille = u32::try_from(dice.between(low, high, "strength", name)).unwrap_or(0);
    let max_ms = dice.between(50, 8_000, "length", name);
    is_on.then_some(Strength { per_mille, max_ms })
}

fn wanted(dice: &Chance, number: usize, is_burst: bool) -> Wanted {
    let name = number.to_string();
    let kind = dice.between(0, 99, "kind of order", &name);
    let (product, price) = match kind {
        0..=9 => ("rare", "19.99".to_owned()),
        10..=17 => ("gold", "50000.01".to_owned()),
        _ => (
            ["book", "lamp", "chair"][number % 3],
            format!("{}.{:02}", dice.between(1, 900, "price", &name), number % 100),
        ),
    };
    Wanted {
        customer: u32::try_from(number).unwrap_or(u32::MAX),
        at_ms: if is_burst { 2_000 } else { dice.between(0, 8_000, "placed at", &name) },
        product: product.to_owned(),
        quantity: u32::try_from(dice.between(1, 5, "quantity", &name)).unwrap_or(1),
        price,
        cancelled_after_ms: (kind >= 90).then(|| dice.between(0, 300, "cancelled after", &name)),
    }
}

fn crashes(dice: &Chance, faults: &BTreeMap<Fault, Strength>, order_count: u64) -> Vec<Crash> {
    let mut crashes = Vec::new();
    for (fault, side) in
        [(Fault::CrashBefore, Side::Before), (Fault::CrashAfter, Side::After), (Fault::StoreLoss, Side::Before)]
    {
        let Some(strength) = faults.get(&fault) else { continue };
        let count = 1 + u64::from(strength.per_mille) / 60;
        for number in 0..count {
            let name = format!("{} {number}", fault.name());
            let is_consumer = dice.fires(650, "who dies", &name);
            let call_max = if is_consumer { 45 } else { 14 } * order_count.max(1);
            crashes.push(Crash {
                is_consumer,
                call: dice.between(2, call_max, "call to die at", &name),
                of: None,
                side,
            });
        }
    }
    crashes
}
