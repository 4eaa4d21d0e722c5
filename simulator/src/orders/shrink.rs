//! The least that fails: whatever can be left out of a plan without the check passing, is.

use std::fmt::Write;

use super::bugs::Bug;
use super::concrete::concrete;
use super::fault::Fault;
use super::plan::{Crash, Plan, Strike};
use super::run::{run_as, run_kept};
use crate::gate::Side;

/// Calls at which a lone crash is tried when most orders are taken away.
const SEATS: u64 = 60;

/// A plan of which nothing more can be left out.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// The plan, with each fault by name.
    pub plan: Plan,
    /// The check that fails, the same as before.
    pub check: String,
    /// Runs it took.
    pub run_count: u32,
    /// Whether everything was tried; otherwise the bound on runs came first.
    pub is_minimal: bool,
}

/// Leaves out orders, faults and crashes for as long as the same check fails, in at most `run_count_max`
/// runs; `tell` hears the number of runs and the least plan so far. `None` when the plan does not fail or is
/// stale.
///
/// `Some`: a plan with which the same check fails. Everything that is written in it happens, unless it is the
/// plan as it was given, since the bound was 0 or it could not be written down. One run before, to see it fail,
/// and one at the end are not counted.
pub fn shrink(plan: &Plan, bug: Option<Bug>, run_count_max: u32, tell: &mut dyn FnMut(u32, &Plan)) -> Option<Shrunk> {
    let kept = run_kept(plan, bug).ok()?;
    let check = kept.failure()?.0.to_owned();
    let mut search =
        Search { best: concrete(plan, &kept), check, bug, run_count: 0, run_count_max, is_out: false, tell };
    if !search.fails(&search.best.clone()) {
        // It cannot be written down; that is no reason to say nothing.
        return Some(Shrunk {
            plan: plan.clone(),
            check: search.check,
            run_count: search.run_count,
            is_minimal: false,
        });
    }
    while search.round() {}
    // What was written of the orders that are left out does not happen any more.
    let plan = concrete(&search.best, &run_kept(&search.best, bug).ok()?);
    Some(Shrunk { plan, check: search.check, run_count: search.run_count, is_minimal: !search.is_out })
}

struct Search<'a> {
    best: Plan,
    check: String,
    bug: Option<Bug>,
    run_count: u32,
    run_count_max: u32,
    is_out: bool,
    tell: &'a mut dyn FnMut(u32, &Plan),
}

impl Search<'_> {
    /// Whether a plan fails as the first one did.
    fn fails(&mut self, plan: &Plan) -> bool {
        if self.run_count >= self.run_count_max {
            self.is_out = true;
            return false;
        }
        self.run_count += 1;
        let report = run_as(plan, self.bug);
        report.is_ok_and(|report| report.failure().is_some_and(|(check, _)| check == self.check))
    }

    /// Goes on with a smaller plan if it fails, too.
    fn attempt(&mut self, change: impl FnOnce(&mut Plan)) -> bool {
        let mut candidate = self.best.clone();
        change(&mut candidate);
        if candidate == self.best || !self.fails(&candidate) {
            return false;
        }
        self.best = candidate;
        (self.tell)(self.run_count, &self.best);
        true
    }

    /// Tries everything once; whether anything could be left out.
    fn round(&mut self) -> bool {
        let mut is_smaller = self.thin(|plan| &mut plan.orders);
        is_smaller |= self.thin(|plan| plan.strikes.get_or_insert_default());
        is_smaller |= self.thin(|plan| &mut plan.crashes);
        is_smaller |= self.reseat();
        for fault in self.best.faults.keys().copied().collect::<Vec<_>>() {
            let is_struck = self.best.strikes.iter().flatten().any(|strike| strike.fault == fault);
            is_smaller |= !is_struck && self.attempt(|plan| plan.faults.retain(|kind, _| *kind != fault));
        }
        is_smaller |= self.attempt(|plan| plan.jitter_max_us = 0);
        for index in 0..self.best.orders.len() {
            is_smaller |= self.attempt(|plan| plan.orders[index].cancelled_after_ms = None);
            is_smaller |= self.attempt(|plan| plan.orders[index].quantity = 1);
        }
        is_smaller && !self.is_out
    }

    /// Leaves out halves, quarters and so on down to single entries of a list (delta debugging).
    fn thin<T>(&mut self, list: fn(&mut Plan) -> &mut Vec<T>) -> bool {
        let mut is_smaller = false;
        let mut size = list(&mut self.best).len();
        while size > 0 {
            let mut from = 0;
            while from < list(&mut self.best).len() {
                let is_left_out = self.attempt(|plan| {
                    let list = list(plan);
                    let to = (from + size).min(list.len());
                    list.drain(from..to);
                });
                is_smaller |= is_left_out;
                from += if is_left_out { 0 } else { size };
            }
            size /= 2;
        }
        is_smaller
    }

    /// With fewer orders the fatal call has another number: looks for it.
    fn reseat(&mut self) -> bool {
        if self.best.crashes.len() != 1 || self.best.orders.len() < 2 {
            return false;
        }
        for order in self.best.orders.clone() {
            for call in 1..=self.best.crashes[0].call.min(SEATS) {
                let is_enough = self.attempt(|plan| {
                    plan.orders = vec![order.clone()];
                    plan.crashes[0].call = call;
                });
                if is_enough || self.is_out {
                    return is_enough;
                }
            }
        }
        false
    }
}

impl Shrunk {
    /// What it takes, in one sentence.
    #[must_use]
    pub fn needs(&self) -> String {
        let plan = &self.plan;
        let by_presence = plan.faults.keys().filter(|fault| fault.happens_by_presence());
        let mut parts: Vec<String> = plan.strikes.iter().flatten().map(told).collect();
        parts.extend(plan.crashes.iter().map(told_crash));
        parts.extend(by_presence.map(|fault| fault.name().to_owned()));
        let orders = match plan.orders.len() {
            0 => "no order".to_owned(),
            1 => "one order".to_owned(),
            count => format!("{count} orders"),
        };
        if plan.strikes.is_none() {
            let (kinds, crashes) = (plan.faults.len(), plan.crashes.len());
            return format!(
                "needs: not known in {} runs; the plan is as it was drawn ({orders}, {kinds} kinds of faults, {crashes} crashes)",
                self.run_count
            );
        }
        if !self.is_minimal {
            let (parts, bound) = (parts.join(", "), self.run_count);
            let parts = if parts.is_empty() { "no fault" } else { &parts };
            return format!(
                "fails with: {parts} ({orders}); not everything was tried, the bound of {bound} runs came first"
            );
        }
        match parts.as_slice() {
            [] => format!("needs no fault ({orders})"),
            [one] => format!("needs: {one}; without it everything passes ({orders})"),
            [one, two] => format!("needs: {one} and {two}; neither alone fails ({orders})"),
            [most @ .., last] => format!("needs: {} and {last}; none can be left out ({orders})", most.join(", ")),
        }
    }
}

fn told(strike: &Strike) -> String {
    let Strike { fault, whom, nth, at_ms, length_ms } = strike;
    let mut text = fault.name().to_owned();
    // Writing to a string cannot fail.
    let _ = match at_ms {
        Some(at) => write!(text, " at {}.{:03} s", at / 1_000, at % 1_000),
        None => write!(text, " of {whom}"),
    };
    if at_ms.is_none() && *nth > 1 {
        let _ = write!(text, ", the {} time", ordinal(u64::from(*nth)));
    }
    let takes_time = at_ms.is_none() || matches!(fault, Fault::HeadStall | Fault::HttpPartition);
    if *length_ms > 0 && takes_time {
        let _ = write!(text, ", for {length_ms} ms");
    }
    text
}

fn told_crash(crash: &Crash) -> String {
    let who = if crash.is_consumer { "consumer" } else { "producer" };
    let side = if crash.side == Side::Before { "before" } else { "after" };
    format!("a crash of the {who} {side} its {} {}", ordinal(crash.call), crash.of.as_deref().unwrap_or("call"))
}

fn ordinal(number: u64) -> String {
    let ending = match (number % 10, number % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{number}{ending}")
}
