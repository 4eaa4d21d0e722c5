//! Many seeds, one line or object each.

use std::collections::BTreeMap;
use std::process::ExitCode;

use serde_json::{Value, json};
use simulator::broker::Model;
use simulator::orders::{Fault, KeptPlan, Plan, Report, run_as};

use crate::bar::bar;
use crate::cli::RunOptions;
use crate::failure;
use crate::{FAILED, PROVED_NOTHING, USAGE};

/// Most vacuous runs of a hundred for all of them to prove something.
const VACUOUS_PERCENT_MAX: u64 = 5;

#[derive(Default)]
struct Totals {
    passed: u64,
    failed: u64,
    vacuous: u64,
    events: u64,
    completed: u64,
    faults: BTreeMap<Fault, u64>,
}

pub(crate) fn run(options: &RunOptions) -> ExitCode {
    // The range is never empty, and the last of all numbers is a seed.
    let seeds = options.seed.map_or(options.seeds.start..=options.seeds.end - 1, |seed| seed..=seed);
    let runs = seeds.flat_map(|seed| options.broker.0.iter().map(move |model| (seed, *model)));
    let runs: Vec<(u64, Model)> = runs.collect();
    let bar = bar(runs.len() as u64, "per_sec");
    let mut totals = Totals::default();
    let mut first_failed = None;
    let mut last = None;
    for (seed, model) in runs {
        let plan = Plan::draw(seed, model, options.profile, options.orders);
        let Ok(report) = run_as(&plan, options.bug) else { continue };
        let verdict = report.verdict(&plan);
        totals.add(verdict, &report);
        if options.json {
            bar.suspend(|| println!("{}", object(&report, &plan)));
        }
        if let Some((check, why)) = report.failure() {
            let command = command(&plan, options);
            if !options.json {
                bar.suspend(|| println!("seed {seed} on {}: {check}: {why}\n  again: {command}", model.name()));
            }
            bar.set_message(format!("worst: seed {seed} on {}: {check}", model.name()));
            first_failed.get_or_insert_with(|| plan.clone());
        }
        last = Some((plan, report));
        bar.inc(1);
    }
    bar.finish_and_clear();
    match (first_failed, &options.save, last) {
        (Some(plan), _, _) => {
            let path = options.plan_path(&plan);
            match failure::explain(&plan, options.bug, options.shrink_runs, &path) {
                Ok(Some(explained)) if options.json => println!("{}", explained.object()),
                Ok(Some(explained)) => explained.print(),
                Ok(None) => eprintln!(
                    "simulator: seed {} on {} failed and does not fail again: the simulator IS NOT DETERMINISTIC",
                    plan.seed, plan.broker
                ),
                Err(error) => eprintln!("simulator: {}: {error}", path.display()),
            }
        }
        (None, Some(path), Some((plan, report))) => {
            if let Err(error) = KeptPlan::of(plan, options.bug, &report).write(path) {
                eprintln!("simulator: {}: {error}", path.display());
                totals.tell(options.json);
                return ExitCode::from(USAGE);
            }
        }
        (None, _, _) => {}
    }
    totals.tell(options.json)
}

impl Totals {
    fn add(&mut self, verdict: &str, report: &Report) {
        match verdict {
            "pass" => self.passed += 1,
            "fail" => self.failed += 1,
            _ => self.vacuous += 1,
        }
        self.events += report.events;
        self.completed += report.work.completed;
        for (fault, count) in &report.faults {
            *self.faults.entry(*fault).or_default() += count;
        }
    }

    fn tell(&self, is_json: bool) -> ExitCode {
        let runs = self.passed + self.failed + self.vacuous;
        if is_json {
            let faults: BTreeMap<&str, u64> = self.faults.iter().map(|(fault, count)| (fault.name(), *count)).collect();
            println!(
                "{}",
                json!({"summary": {"runs": runs, "passed": self.passed, "failed": self.failed,
                "vacuous": self.vacuous, "events": self.events, "completed": self.completed, "faults": faults}})
            );
        } else {
            let fired: u64 = self.faults.values().sum();
            println!(
                "{runs} runs: {} passed, {} failed, {} vacuous; {} orders completed, {fired} faults of {} kinds fired",
                self.passed,
                self.failed,
                self.vacuous,
                self.completed,
                self.faults.len()
            );
        }
        if self.failed > 0 {
            ExitCode::from(FAILED)
        } else if runs == 0 || self.vacuous * 100 > runs * VACUOUS_PERCENT_MAX {
            eprintln!("simulator: too many runs proved nothing; use more orders or another profile");
            ExitCode::from(PROVED_NOTHING)
        } else {
            ExitCode::SUCCESS
        }
    }
}

/// One run as an object.
pub(crate) fn object(report: &Report, plan: &Plan) -> Value {
    let mut object = serde_json::to_value(report).unwrap_or_default();
    object["verdict"] = report.verdict(plan).into();
    object
}

fn command(plan: &Plan, options: &RunOptions) -> String {
    format!(
        "simulator run --seed {} --broker {} --profile {} --orders {}{}",
        plan.seed,
        plan.broker,
        options.profile.name(),
        options.orders,
        options.bug.map(|bug| format!(" --bug {}", bug.word())).unwrap_or_default()
    )
}
