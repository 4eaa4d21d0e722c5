//! One run of each broker, crashed at every call.

use std::process::ExitCode;

use serde_json::json;
use simulator::orders::{Plan, crash_everywhere};

use crate::cli::RunOptions;
use crate::failure;
use crate::sweep::bar;
use crate::{FAILED, PROVED_NOTHING};

pub(crate) fn sweep(options: &RunOptions) -> ExitCode {
    let seed = options.seed.unwrap_or(options.seeds.start);
    let (mut fallen_count, mut stale_count) = (0, 0);
    for model in &options.broker.0 {
        let plan = Plan { crashes: Vec::new(), ..Plan::draw(seed, *model, options.profile, options.orders) };
        let bar = bar(0);
        let swept = crash_everywhere(&plan, options.bug, &mut |swept| {
            bar.set_length(swept.point_count);
            bar.set_position(swept.tried_count);
        });
        bar.finish_and_clear();
        let swept = match swept {
            Ok(swept) => swept,
            Err(stale) => {
                eprintln!("simulator: seed {seed} on {}: {stale}", model.name());
                stale_count += 1;
                continue;
            }
        };
        fallen_count += swept.fallen.len();
        let (survived, points) = (swept.survived_count(), swept.point_count);
        if options.json {
            println!("{}", json!({"seed": seed, "broker": model.name(), "points": points, "survived": survived}));
        } else {
            println!("seed {seed} on {}: {survived} of {points} points survived", model.name());
        }
        if let Some(point) = swept.fallen.first() {
            let path = options.plan_path(&point.plan);
            match failure::tell(&point.plan, options.bug, options.shrink_runs, &path) {
                Ok(Some(told)) if options.json => println!("{}", told.object()),
                Ok(Some(told)) => told.print(),
                Ok(None) => println!("{}: {}", point.check, point.why),
                Err(error) => eprintln!("simulator: {}: {error}", path.display()),
            }
        }
    }
    match (fallen_count, stale_count) {
        (0, 0) => ExitCode::SUCCESS,
        (0, _) => ExitCode::from(PROVED_NOTHING),
        _ => ExitCode::from(FAILED),
    }
}
