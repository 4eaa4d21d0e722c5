//! Whether planted bugs are found, and how soon.

use std::process::ExitCode;

use serde_json::json;
use simulator::broker::Model;
use simulator::orders::bugs::Bug;
use simulator::orders::{Plan, Profile, run, run_with_bug};

use crate::FAILED;

const ORDERS: usize = 10;
/// Finds after which the median is known well enough.
const FINDS_ENOUGH: usize = 5;

pub(crate) fn bugs(seed_count: u64, is_json: bool) -> ExitCode {
    let mut is_any_alive = false;
    for bug in Bug::ALL {
        for model in Model::ALL {
            let found = hunt(bug, model, seed_count);
            is_any_alive |= found.is_none();
            let (median, check) = found.unwrap_or((0, "SURVIVED".to_owned()));
            if is_json {
                println!(
                    "{}",
                    json!({"bug": bug.name(), "broker": model.name(), "median_seeds": median, "check": check})
                );
            } else {
                println!("{:<36} {:<9} {median:>5} seeds  {check}", bug.name(), model.name());
            }
        }
    }
    if is_any_alive { ExitCode::from(FAILED) } else { ExitCode::SUCCESS }
}

/// The median of seeds between finds, and the check that found it first. A failure only counts where
/// the honest services pass the same seed.
fn hunt(bug: Bug, model: Model, seed_count: u64) -> Option<(u64, String)> {
    let mut gaps = Vec::new();
    let mut check = None;
    let mut last = 0;
    for seed in 1..=seed_count {
        let plan = Plan::draw(seed, model, Profile::Swarm, ORDERS);
        let Ok(report) = run_with_bug(&plan, bug) else { continue };
        let Some((name, _)) = report.failure() else { continue };
        let honest = match bug.control() {
            Some(control) => run_with_bug(&plan, control),
            None => run(&plan),
        };
        if honest.is_ok_and(|honest| honest.failure().is_some()) {
            continue;
        }
        check.get_or_insert_with(|| name.to_owned());
        gaps.push(seed - last);
        last = seed;
        if gaps.len() == FINDS_ENOUGH {
            break;
        }
    }
    gaps.sort_unstable();
    Some((*gaps.get(gaps.len() / 2)?, check?))
}
