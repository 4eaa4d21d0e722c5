//! One run, and what came of it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::task::JoinSet;

use super::bugs::Bug;
use super::checks::{self, Verdict};
use super::fault::Fault;
use super::plan::{FORMAT, Plan};
use super::scene::Scene;
use super::tally::Work;
use crate::World;
use crate::broker::Model;
use crate::world::{Run, simulate, simulate_with_lines};

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
    /// Every event with the hash after it, where they were asked for.
    #[serde(skip)]
    pub lines: Vec<(u64, String)>,
}

impl Report {
    /// The first check that failed, with its reason.
    #[must_use]
    pub fn failure(&self) -> Option<(&'static str, &str)> {
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

/// Runs a plan.
///
/// # Errors
/// [`StalePlan`] when this program cannot run it as it was meant.
pub fn run(plan: &Plan) -> Result<Report, StalePlan> {
    report(plan, None, false)
}

/// Runs a plan and keeps a line for every event.
///
/// # Errors
/// As for [`run`].
pub fn run_with_lines(plan: &Plan) -> Result<Report, StalePlan> {
    report(plan, None, true)
}

/// Runs a plan with a bug planted.
///
/// # Errors
/// As for [`run`].
pub fn run_with_bug(plan: &Plan, bug: Bug) -> Result<Report, StalePlan> {
    report(plan, Some(bug), false)
}

fn report(plan: &Plan, bug: Option<Bug>, keeps_lines: bool) -> Result<Report, StalePlan> {
    if plan.format != FORMAT {
        return Err(StalePlan(format!("it has format {}, this program runs format {FORMAT}", plan.format)));
    }
    let model = Model::named(&plan.broker);
    let model = model.ok_or_else(|| StalePlan(format!("there is no model of a broker `{}`", plan.broker)))?;
    let plan = Arc::new(plan.clone());
    let scenario = async |world: World| {
        let scene = Scene::new(&world, &plan, model, bug);
        // Tasks of their own: an event of one wakes nobody else.
        let mut services = JoinSet::new();
        services.spawn(scene.clone().run(false));
        services.spawn(scene.clone().run(true));
        let evidence = tokio::select! {
            biased;
            evidence = Box::pin(scene.tell()) => evidence,
            Some(ended) = services.join_next() => panic!("a service ended: {ended:?}"),
        };
        let mut faults = scene.trouble.fired().counts();
        let mut work = *scene.tally.work();
        let deaths = [&scene.producer, &scene.consumer].map(|machine| machine.gate.death_counts());
        for (fault, side) in [(Fault::CrashBefore, 0), (Fault::CrashAfter, 1)] {
            let count: u64 = deaths.iter().map(|of_node| of_node[side]).sum();
            work.crashes += count;
            if count > 0 {
                faults.insert(fault, count);
            }
        }
        // The listeners hold the services, and their lines hold the listeners.
        [false, true].into_iter().for_each(|is_consumer| scene.network.hang_up(is_consumer));
        (checks::all(&evidence), faults, work)
    };
    let Run { ended, hash, plain_hash, event_count, virtual_time, lines } = match keeps_lines {
        false => simulate(plan.seed, HORIZON, scenario),
        true => simulate_with_lines(plan.seed, HORIZON, scenario),
    };
    let (stuck, (checks, faults, work)) = match ended {
        Ok(found) => (None, found),
        Err(stuck) => (Some(stuck.to_string()), Default::default()),
    };
    Ok(Report {
        seed: plan.seed,
        broker: plan.broker.clone(),
        checks,
        stuck,
        hash: format!("{hash:016x}"),
        plain_hash: format!("{plain_hash:016x}"),
        events: event_count,
        virtual_ms: u64::try_from(virtual_time.as_millis()).unwrap_or(u64::MAX),
        faults,
        work,
        lines,
    })
}
