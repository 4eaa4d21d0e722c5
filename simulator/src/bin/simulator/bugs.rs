//! Whether planted bugs are found, how soon and by which check; and whether what has no bug passes the
//! same seeds.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;

use serde_json::{Value, json};
use simulator::broker::Model;
use simulator::orders::bugs::Bug;
use simulator::orders::{Plan, Profile, run_as};

use crate::FAILED;
use crate::bar::bar;

const ORDERS: usize = 10;
/// Finds after which the median is known well enough.
const FINDS_ENOUGH: usize = 5;

/// What became of one bug on one broker.
enum Hunted {
    /// No seed shows it.
    Survived,
    /// Seeds do.
    Found {
        /// Seeds from one find to the next, the middle one.
        median: u64,
        /// Who found it, the most frequent one.
        check: &'static str,
    },
}

/// Runs of compositions without a bug, each once.
#[derive(Default)]
struct Controls {
    passed: BTreeSet<(Option<Bug>, Model, u64)>,
    failed: BTreeMap<(Option<Bug>, Model, u64), String>,
}

pub(crate) fn bugs(seed_count: u64, is_json: bool) -> ExitCode {
    let bar = bar((Bug::ALL.len() * Model::ALL.len()) as u64, "elapsed");
    let mut controls = Controls::default();
    let mut survivors = Vec::new();
    let mut rows = Vec::new();
    for bug in Bug::ALL {
        let mut found = Vec::new();
        for model in Model::ALL {
            bar.set_message(format!("{} on {}", bug.name(), model.name()));
            let hunted = hunt(bug, model, seed_count, &mut controls);
            if matches!(hunted, Hunted::Survived) {
                survivors.push(format!("{} on {}", bug.name(), model.name()));
            }
            if is_json {
                bar.suspend(|| println!("{}", object(bug, model, &hunted)));
            }
            found.push(hunted);
            bar.inc(1);
        }
        rows.push(row(bug, &found));
    }
    bar.finish_and_clear();
    if is_json {
        println!(
            "{}",
            json!({"summary": {"bugs": Bug::ALL.len(), "survivors": survivors,
                "honest_passed": controls.passed.len(), "honest_failed": controls.failures(true),
                "set_aside": controls.failures(false)}})
        );
    } else {
        let names: Vec<&str> = Model::ALL.iter().map(|model| model.name()).collect();
        println!("| bug | {} | found by |", names.join(" | "));
        println!("|---|{}---|", "--:|".repeat(names.len()));
        rows.iter().for_each(|row| println!("{row}"));
        println!("\n(median seeds from one find to the next; ten orders, profile swarm)");
        println!(
            "the same seeds without the bugs: {} runs passed; the services as they are failed in {}; {} seeds set aside, \
             which harm a composition without the bug as well",
            controls.passed.len(),
            controls.failures(true).len(),
            controls.failures(false).len()
        );
        survivors.iter().for_each(|survivor| println!("SURVIVED {seed_count} seeds: {survivor}"));
        controls.failures(true).iter().for_each(|failure| println!("FAILED without a bug: {failure}"));
    }
    let is_well = survivors.is_empty() && controls.failures(true).is_empty();
    if is_well { ExitCode::SUCCESS } else { ExitCode::from(FAILED) }
}

/// Plants the bug in seed after seed until it was found often enough. The services as they are have to pass
/// each of these seeds; one in which the bug's composition fails without it shows nothing and is set aside.
fn hunt(bug: Bug, model: Model, seed_count: u64, controls: &mut Controls) -> Hunted {
    let mut gaps = Vec::new();
    let mut checks: BTreeMap<&'static str, usize> = BTreeMap::new();
    let mut last = 0;
    for seed in 1..=seed_count {
        let honest = controls.pass(None, model, seed);
        let control = bug.control().is_none_or(|control| controls.pass(Some(control), model, seed));
        let Ok(report) = run_as(&plan(seed, model), Some(bug)) else { continue };
        // A composition that panics is put together wrong, and is no bug that was noticed.
        let is_shown = honest && control && report.panicked.is_none();
        let Some((check, _)) = report.failure().filter(|_| is_shown) else { continue };
        *checks.entry(check).or_default() += 1;
        gaps.push(seed - last);
        last = seed;
        if gaps.len() == FINDS_ENOUGH {
            break;
        }
    }
    gaps.sort_unstable();
    let check = checks.into_iter().max_by_key(|(_, count)| *count);
    match (gaps.get(gaps.len() / 2), check) {
        (Some(median), Some((check, _))) => Hunted::Found { median: *median, check },
        _ => Hunted::Survived,
    }
}

fn plan(seed: u64, model: Model) -> Plan {
    Plan::draw(seed, model, Profile::Swarm, ORDERS)
}

impl Controls {
    /// Why the services as they are failed; or, short of a line of defence, the compositions without a bug.
    fn failures(&self, is_honest: bool) -> Vec<&String> {
        self.failed.iter().filter(|((control, ..), _)| control.is_none() == is_honest).map(|(_, why)| why).collect()
    }

    fn pass(&mut self, control: Option<Bug>, model: Model, seed: u64) -> bool {
        let name = (control, model, seed);
        if self.passed.contains(&name) {
            return true;
        }
        if self.failed.contains_key(&name) {
            return false;
        }
        let failure = match &run_as(&plan(seed, model), control) {
            Ok(report) => report.failure().map(|(check, why)| format!("{check}: {why}")),
            Err(stale) => Some(stale.to_string()),
        };
        let Some(why) = failure else { return self.passed.insert(name) };
        let who = control.map_or("the services as they are", Bug::name);
        self.failed.insert(name, format!("{who}, seed {seed} on {}: {why}", model.name()));
        false
    }
}

fn row(bug: Bug, found: &[Hunted]) -> String {
    let cells = found.iter().map(|hunted| match hunted {
        Hunted::Survived => "SURVIVED".to_owned(),
        Hunted::Found { median, .. } => median.to_string(),
    });
    let checks: BTreeSet<&str> = found
        .iter()
        .filter_map(|hunted| match hunted {
            Hunted::Found { check, .. } => Some(*check),
            Hunted::Survived => None,
        })
        .collect();
    let cells: Vec<String> = cells.collect();
    let checks: Vec<&str> = checks.into_iter().collect();
    format!("| {} | {} | {} |", bug.name(), cells.join(" | "), checks.join(", "))
}

fn object(bug: Bug, model: Model, hunted: &Hunted) -> Value {
    let (median, check) = match hunted {
        Hunted::Survived => (None, None),
        Hunted::Found { median, check } => (Some(*median), Some(*check)),
    };
    json!({"bug": bug.name(), "broker": model.name(), "found": median.is_some(), "median_seeds": median,
        "check": check})
}
