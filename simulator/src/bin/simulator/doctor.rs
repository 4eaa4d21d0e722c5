//! Whether the simulator itself is to be believed.

use std::process::ExitCode;

use simulator::broker::Model;
use simulator::orders::{Fault, Plan, Profile, matters, run};

use crate::FAILED;

/// Seeds a kind of fault gets to fire and to matter.
const SEEDS: u64 = 40;
const ORDERS: usize = 6;

pub(crate) fn doctor() -> ExitCode {
    let mut is_well = same_hashes();
    for fault in Fault::ALL {
        for model in Model::ALL {
            let finding = match fault.excluded_by(model) {
                Some(why) => format!("does not apply: {why}"),
                None => match first_that_matters(*fault, model) {
                    Some(seed) => format!("fired and changed the run of seed {seed}"),
                    None => {
                        is_well = false;
                        format!("INERT in {SEEDS} seeds")
                    }
                },
            };
            println!("{:<22} {:<9} {finding}", fault.name(), model.name());
        }
    }
    if is_well {
        println!(
            "well: every kind of fault that applies fires and matters; the models: cargo test -p simulator --test conformance"
        );
        ExitCode::SUCCESS
    } else {
        ExitCode::from(FAILED)
    }
}

fn same_hashes() -> bool {
    let hash = |seed, model| run(&Plan::draw(seed, model, Profile::Swarm, ORDERS)).map(|report| report.hash).ok();
    let mut is_same = true;
    for model in Model::ALL {
        let first = hash(1, model);
        (2..12).for_each(|seed| drop(hash(seed, model)));
        let again = hash(1, model);
        is_same &= first.is_some() && first == again;
        println!("{:<9} seed 1: {} twice, ten seeds apart", model.name(), again.unwrap_or_default());
    }
    is_same
}

/// The first seed in which the fault fired, and without which the run is another.
fn first_that_matters(fault: Fault, model: Model) -> Option<u64> {
    let plan = |seed| Plan::draw(seed, model, Profile::Only(fault), ORDERS);
    (1..=SEEDS).find(|seed| matters(&plan(*seed), fault).unwrap_or(false))
}
