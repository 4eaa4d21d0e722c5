//! One run of a plan.

use std::cell::OnceCell;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::account::Account;
use super::bugs::Bug;
use super::checks;
use super::plan::{FORMAT, Plan};
use super::report::Report;
use super::scene::Scene;
use crate::World;
use crate::broker::Model;
use crate::world::{Run, Stuck, simulate, simulate_with_lines};

/// Longest run in virtual time: the plan's own, the recovery and the aftermath fit well inside.
const HORIZON: Duration = Duration::from_secs(3_600);

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
    let account = stage.get().map(Account::of).unwrap_or_default();
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
        faults: account.faults,
        work: account.work,
        calls: account.calls,
        unmet: account.unmet,
        chronicle: events,
        strikes: account.strikes,
        crashes: account.crashes,
    })
}
