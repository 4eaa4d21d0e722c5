//! How fast it is here.

use std::process::ExitCode;
use std::time::Duration;

use simulator::broker::Model;
use simulator::orders::{Plan, Profile, run};

const SEEDS: u64 = 200;
const ORDERS: usize = 10;

#[expect(clippy::disallowed_types, reason = "a benchmark measures the machine")]
pub(crate) fn bench() -> ExitCode {
    for model in Model::ALL {
        let begin = std::time::Instant::now();
        let mut events = 0;
        let mut bus_events = 0;
        for seed in 1..=SEEDS {
            if let Ok(report) = run(&Plan::draw(seed, model, Profile::Swarm, ORDERS)) {
                events += report.events;
                bus_events += report.work.published + report.work.received;
            }
        }
        let took = begin.elapsed().max(Duration::from_millis(1)).as_secs_f64();
        println!(
            "{:<9} {:>7.0} ten-order swarm seeds/s, {:>9.0} events/s, {:>8.0} published or delivered/s (one core)",
            model.name(),
            SEEDS as f64 / took,
            events as f64 / took,
            bus_events as f64 / took
        );
    }
    ExitCode::SUCCESS
}
