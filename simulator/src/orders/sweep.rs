//! A run crashed at each of its calls, before and after: does it survive every one?

use std::fmt;

use super::bugs::Bug;
use super::plan::{Crash, Plan};
use super::report::Report;
use super::run::{StalePlan, run_as};
use crate::gate::Side;

/// A place at which a crash was not survived.
#[derive(Clone, Debug)]
pub struct Point {
    /// The plan with this one crash.
    pub plan: Plan,
    /// The check that failed.
    pub check: String,
    /// How.
    pub why: String,
}

/// What a sweep found.
#[derive(Clone, Debug, Default)]
pub struct Swept {
    /// Points to crash at: calls through a seam, before and after.
    pub point_count: u64,
    /// Points crashed at so far.
    pub tried_count: u64,
    /// Those that were not survived.
    pub fallen: Vec<Point>,
}

impl Swept {
    /// Points that were survived.
    #[must_use]
    pub fn survived_count(&self) -> u64 {
        self.tried_count - self.fallen.len() as u64
    }
}

/// Why a plan was not swept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unswept {
    /// It cannot be run.
    Stale(StalePlan),
    /// It has crashes of its own: with one more there would be two.
    HasCrashes,
    /// It does not pass without a crash.
    Fails {
        /// The plan that fails: with everything healed as late as in the sweep, or as it was given.
        plan: Box<Plan>,
        /// The check that failed.
        check: String,
        /// How.
        why: String,
    },
}

impl fmt::Display for Unswept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stale(stale) => stale.fmt(f),
            Self::HasCrashes => f.write_str("it has crashes of its own; sweep a profile without"),
            Self::Fails { check, why, .. } => write!(f, "it fails without a crash: {check}: {why}"),
        }
    }
}

impl std::error::Error for Unswept {}

impl From<StalePlan> for Unswept {
    fn from(stale: StalePlan) -> Self {
        Self::Stale(stale)
    }
}

/// Runs a plan once for each call of either service until everything is done, and for each side of the call,
/// with a crash there and nowhere else; `tell` hears how far it is. `Ok`: each was tried, survived or not.
///
/// # Errors
/// [`Unswept`] when the plan cannot be run, has crashes of its own, or does not pass without one.
pub fn crash_everywhere(plan: &Plan, bug: Option<Bug>, tell: &mut dyn FnMut(&Swept)) -> Result<Swept, Unswept> {
    if !plan.crashes.is_empty() {
        return Err(Unswept::HasCrashes);
    }
    let whole = passing(plan, bug)?;
    // It is healed when it would have been done: late effects are waited for as those of any fault.
    let plan = Plan { healed_at_ms: plan.healed_at_ms.max(whole.virtual_ms), ..plan.clone() };
    let calls = passing(&plan, bug)?.calls;
    let mut swept = Swept { point_count: 2 * calls.iter().sum::<u64>(), ..Swept::default() };
    for (is_consumer, call_count) in [false, true].into_iter().zip(calls) {
        for call in 1..=call_count {
            for side in [Side::Before, Side::After] {
                let crashes = vec![Crash { is_consumer, call, of: None, side }];
                let plan = Plan { crashes, ..plan.clone() };
                let report = run_as(&plan, bug)?;
                if side == Side::After && report.work.crashes == 0 {
                    // A call that never ends, such as a receive when nothing more comes: there is no "after".
                    swept.point_count -= 1;
                    continue;
                }
                if let Some((check, why)) = fall(&report) {
                    swept.fallen.push(Point { plan, check, why });
                }
                swept.tried_count += 1;
                tell(&swept);
            }
        }
    }
    Ok(swept)
}

fn passing(plan: &Plan, bug: Option<Bug>) -> Result<Report, Unswept> {
    let report = run_as(plan, bug)?;
    let Some((check, why)) = report.failure() else { return Ok(report) };
    Err(Unswept::Fails { plan: Box::new(plan.clone()), check: check.to_owned(), why: why.to_owned() })
}

fn fall(report: &Report) -> Option<(String, String)> {
    if report.work.crashes != 1 {
        return Some(("sweep".to_owned(), format!("{} crashes happened instead of one", report.work.crashes)));
    }
    report.failure().map(|(check, why)| (check.to_owned(), why.to_owned()))
}
