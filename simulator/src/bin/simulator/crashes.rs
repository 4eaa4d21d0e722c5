//! One run of each broker, crashed at every call.

use std::process::ExitCode;

use serde_json::json;
use simulator::orders::{Plan, Unswept, crash_everywhere};

use crate::bar::bar;
use crate::cli::RunOptions;
use crate::failure;
use crate::{FAILED, PROVED_NOTHING};

pub(crate) fn sweep(options: &RunOptions) -> ExitCode {
    let seed = options.seed.unwrap_or(options.seeds.start);
    let (mut failed_count, mut stale_count) = (0, 0);
    for model in &options.broker.0 {
        let plan = Plan { crashes: Vec::new(), ..Plan::draw(seed, *model, options.profile, options.orders) };
        let bar = bar(0, "per_sec");
        let swept = crash_everywhere(&plan, options.bug, &mut |swept| {
            bar.set_length(swept.point_count);
            bar.set_position(swept.tried_count);
        });
        bar.finish_and_clear();
        let swept = match swept {
            Ok(swept) => swept,
            Err(unswept) => {
                eprintln!("simulator: seed {seed} on {}: {unswept}", model.name());
                match unswept {
                    Unswept::Fails { plan, check, why } => {
                        failed_count += 1;
                        tell(&plan, &check, &why, options);
                    }
                    Unswept::Stale(_) | Unswept::HasCrashes => stale_count += 1,
                }
                continue;
            }
        };
        failed_count += swept.fallen.len();
        let (survived, points) = (swept.survived_count(), swept.point_count);
        if options.json {
            println!("{}", json!({"seed": seed, "broker": model.name(), "points": points, "survived": survived}));
        } else {
            println!("seed {seed} on {}: {survived} of {points} points survived", model.name());
        }
        if let Some(point) = swept.fallen.first() {
            tell(&point.plan, &point.check, &point.why, options);
        }
    }
    match (failed_count, stale_count) {
        (0, 0) => ExitCode::SUCCESS,
        (0, _) => ExitCode::from(PROVED_NOTHING),
        _ => ExitCode::from(FAILED),
    }
}

/// Tells a failure with its least plan; what fails no check is told as it is.
fn tell(plan: &Plan, check: &str, why: &str, options: &RunOptions) {
    let path = options.plan_path(plan);
    match failure::explain(plan, options.bug, options.shrink_runs, &path) {
        Ok(Some(explained)) if options.json => println!("{}", explained.object()),
        Ok(Some(explained)) => explained.print(),
        Ok(None) => eprintln!("simulator: {check}: {why}; there is no plan that fails a check"),
        Err(error) => eprintln!("simulator: {}: {error}", path.display()),
    }
}
