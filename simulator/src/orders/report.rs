//! One run, and what came of it.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::task::JoinSet;

use super::bugs::Bug;
use super::checks::{self, Verdict};
use super::fault::Fault;
use super::plan::{Crash, FORMAT, Plan, Strike};
use super::scene::Scene;
use super::tally::Work;
use crate::World;
use crate::broker::Model;
use crate::chronicle::Event;
use crate::gate::Death;
use crate::world::{Run, Stuck, simulate, simulate_with_lines};

/// Longest run in virtual time: the plan's own, the recovery and the aftermath fit well inside.
const HORIZON: Duration = Duration::from_secs(3_600);

/// What came of one run.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// The broker.
    pub broker: String,
    /// Each check's verdict, by name.
    pub checks: Vec<(&'static str, Verdict)>,
    /// Why the run has no end, if it has none.
    pub stuck: Option<String>,
    /// What something panicked with, if it did: the run ended there.
    pub panicked: Option<String>,
    /// The rolling hash over all events, in hexadecimal.
    pub hash: String,
    /// The same without the notes that a fault happens: two runs in which it differs were different.
    pub plain_hash: String,
    /// How many events there were.
    pub events: u64,
    /// How long it took in virtual time, in milliseconds.
    pub virtual_ms: u64,
    /// How often each kind of fault fired.
    pub faults: BTreeMap<Fault, u64>,
    /// The work that was done.
    pub work: Work,
    /// Calls through a seam until everything was healed, of the producer and of the consumer.
    pub calls: [u64; 2],
    /// What is written in the plan and did not happen: it does not match this program any more.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unmet: Vec<String>,
    /// Everything that happened and was told: of [`run_kept`].
    #[serde(skip)]
    pub chronicle: Vec<Event>,
    /// The faults that happened, in the words of a plan: of [`run_kept`], and of a plan that writes them down.
    #[serde(skip)]
    pub strikes: Vec<Strike>,
    /// The crashes that happened, each at the n-th call of its kind.
    #[serde(skip)]
    pub crashes: Vec<Crash>,
}

impl Report {
    /// The first check that failed, with its reason.
    #[must_use]
    pub fn failure(&self) -> Option<(&'static str, &str)> {
        if let Some(panicked) = &self.panicked {
            return Some(("no panic", panicked));
        }
        if let Some(stuck) = &self.stuck {
            return Some(("progress", stuck));
        }
        self.checks.iter().find_map(|(name, verdict)| match verdict {
            Verdict::Fail(why) => Some((*name, why.as_str())),
            Verdict::Pass | Verdict::Vacuous(_) => None,
        })
    }

    /// Why it proves nothing: no order was completed, or no fault fired though some were planned.
    #[must_use]
    pub fn vacuous(&self, plan: &Plan) -> Option<&'static str> {
        if self.work.accepted == 0 || self.work.completed == 0 {
            Some("no order was completed")
        } else if !plan.faults.is_empty() && self.faults.is_empty() && self.work.crashes == 0 {
            Some("no fault fired")
        } else {
            None
        }
    }

    /// `pass`, `fail` or `vacuous`.
    #[must_use]
    pub fn verdict(&self, plan: &Plan) -> &'static str {
        match (self.failure(), self.vacuous(plan)) {
            (Some(_), _) => "fail",
            (None, Some(_)) => "vacuous",
            (None, None) => "pass",
        }
    }
}

/// A plan of another version of this program, or for a broker there is no model of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StalePlan(pub String);

impl fmt::Display for StalePlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stale plan: {}", self.0)
    }
}

impl std::error::Error for StalePlan {}

/// Runs a plan with the services as they are.
///
/// `Ok`: it ran, to its end or to where nothing moved any more, whatever its checks say: see
/// [`Report::failure`], and [`Report::unmet`] of a plan that says what happens in it.
///
/// # Errors
/// [`StalePlan`] when this program cannot run it as it was meant.
pub fn run(plan: &Plan) -> Result<Report, StalePlan> {
    report(plan, None, false)
}

/// The same as [`run_as`], and keeps everything that happened: the same run, which takes longer.
///
/// # Errors
/// As for [`run`].
pub fn run_kept(plan: &Plan, bug: Option<Bug>) -> Result<Report, StalePlan> {
    report(plan, bug, true)
}

/// Runs a plan, with a bug planted or not. `Ok` as of [`run`].
///
/// # Errors
/// As for [`run`].
pub fn run_as(plan: &Plan, bug: Option<Bug>) -> Result<Report, StalePlan> {
    report(plan, bug, false)
}

fn report(plan: &Plan, bug: Option<Bug>, keeps_lines: bool) -> Result<Report, StalePlan> {
    if plan.format != FORMAT {
        return Err(StalePlan(format!("it has format {}, this program runs format {FORMAT}", plan.format)));
    }
    let model = Model::named(&plan.broker);
    let model = model.ok_or_else(|| StalePlan(format!("there is no model of a broker `{}`", plan.broker)))?;
    let plan = Arc::new(plan.clone());
    // Outlives the run, which may have no end.
    let stage: OnceCell<Scene> = OnceCell::new();
    let scenario = async |world: World| {
        let scene = stage.get_or_init(|| Scene::new(&world, &plan, model, bug));
        // Tasks of their own: an event of one wakes nobody else.
        let mut services = JoinSet::new();
        services.spawn(scene.clone().run(false));
        services.spawn(scene.clone().run(true));
        let evidence = tokio::select! {
            biased;
            evidence = Box::pin(scene.tell()) => evidence,
            Some(ended) = services.join_next() => panic!("a service ended: {ended:?}"),
        };
        // The listeners hold the services, and their lines hold the listeners.
        [false, true].into_iter().for_each(|is_consumer| scene.network.hang_up(is_consumer));
        checks::all(&evidence)
    };
    let Run { ended, hash, plain_hash, event_count, virtual_time, events } = match keeps_lines {
        false => simulate(plan.seed, HORIZON, scenario),
        true => simulate_with_lines(plan.seed, HORIZON, scenario),
    };
    let (stuck, panicked, checks) = match ended {
        Ok(checks) => (None, None, checks),
        Err(stuck @ Stuck::Waiting { .. }) => (Some(stuck.to_string()), None, Vec::new()),
        Err(Stuck::Panicked(text)) => (None, Some(text), Vec::new()),
    };
    let told = stage.get().map(Told::of).unwrap_or_default();
    Ok(Report {
        seed: plan.seed,
        broker: plan.broker.clone(),
        checks,
        stuck,
        panicked,
        hash: format!("{hash:016x}"),
        plain_hash: format!("{plain_hash:016x}"),
        events: event_count,
        virtual_ms: u64::try_from(virtual_time.as_millis()).unwrap_or(u64::MAX),
        faults: told.faults,
        work: told.work,
        calls: told.calls,
        unmet: told.unmet,
        chronicle: events,
        strikes: told.strikes,
        crashes: told.crashes,
    })
}

/// What a scene has to tell at its end, beside the evidence.
#[derive(Default)]
struct Told {
    faults: BTreeMap<Fault, u64>,
    work: Work,
    calls: [u64; 2],
    unmet: Vec<String>,
    strikes: Vec<Strike>,
    crashes: Vec<Crash>,
}

impl Told {
    fn of(scene: &Scene) -> Self {
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
        // Of what comes by itself or by its presence no chance is missed: the kind shows nothing.
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
