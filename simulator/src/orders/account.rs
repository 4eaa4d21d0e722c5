//! What happened on a scene, beside the evidence: faults, work, deaths, and what was written and did not happen.

use std::collections::{BTreeMap, BTreeSet};

use super::fault::Fault;
use super::plan::{Crash, Strike};
use super::scene::Scene;
use super::tally::Work;
use crate::gate::Death;

/// Taken when the run is over, also of one that has no end.
#[derive(Default)]
pub(super) struct Account {
    pub(super) faults: BTreeMap<Fault, u64>,
    pub(super) work: Work,
    pub(super) calls: [u64; 2],
    pub(super) unmet: Vec<String>,
    pub(super) strikes: Vec<Strike>,
    pub(super) crashes: Vec<Crash>,
}

impl Account {
    pub(super) fn of(scene: &Scene) -> Self {
        let machines = [(&scene.producer, false), (&scene.consumer, true)];
        let mut faults = scene.trouble.fired().counts();
        let mut work = *scene.tally.work();
        for (fault, side) in [(Fault::CrashBefore, 0), (Fault::CrashAfter, 1)] {
            let count: u64 = machines.iter().map(|(machine, _)| machine.gate.death_counts()[side]).sum();
            work.crashes += count;
            if count > 0 {
                faults.insert(fault, count);
            }
        }
        let crashes = machines.iter().flat_map(|(machine, is_consumer)| {
            let crash = |death: Death| Crash {
                is_consumer: *is_consumer,
                call: death.nth,
                of: Some(death.what),
                side: death.side,
            };
            machine.gate.deaths().into_iter().map(crash)
        });
        // A call by its number alone may lie beyond the end; one by its kind was seen in a run.
        let is_written = scene.plan.strikes.is_some();
        let missed = machines.iter().flat_map(|(machine, _)| {
            let name = machine.node.name();
            machine.gate.deaths_to_come().into_iter().map(move |call| format!("death of the {name} at {call}"))
        });
        let missed: Vec<String> = missed.filter(|_| is_written).collect();
        // Of what comes by itself or by its presence no occasion is missed: the kind shows nothing.
        let by_itself = scene.plan.strikes.iter().flatten().filter(|strike| strike.whom.is_empty());
        let kinds = scene.plan.faults.keys().copied().chain(by_itself.map(|strike| strike.fault));
        let kinds: BTreeSet<Fault> = kinds.filter(|fault| is_written && !faults.contains_key(fault)).collect();
        let silent = kinds.into_iter().map(|fault| format!("{}, which never fired", fault.name()));
        let unmet = scene.trouble.script().unmet().into_iter().chain(missed).chain(silent).collect();
        Self {
            faults,
            work,
            calls: machines.map(|(machine, _)| machine.gate.spared_at().unwrap_or_default()),
            unmet,
            strikes: scene.trouble.script().taken(),
            crashes: crashes.collect(),
        }
    }
}
