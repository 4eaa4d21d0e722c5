//! How fast it is here: by the processor time of this thread, which other programs do not change, and
//! by the clock on the wall.

use std::process::ExitCode;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use simulator::broker::Model;
use simulator::orders::{Plan, Profile, run};

const SEEDS: u64 = 200;
const ORDERS: usize = 10;

pub(crate) fn bench() -> ExitCode {
    for model in Model::ALL {
        let plans: Vec<Plan> = (1..=SEEDS).map(|seed| Plan::draw(seed, model, Profile::Swarm, ORDERS)).collect();
        let (busy_before, wall_before) = (read(ClockId::ThreadCPUTime), read(ClockId::Monotonic));
        let (mut events, mut bus_events) = (0, 0);
        // A run stays on the thread that asks for it.
        for report in plans.iter().filter_map(|plan| run(plan).ok()) {
            events += report.events;
            bus_events += report.work.bus_events();
        }
        let busy = seconds(read(ClockId::ThreadCPUTime), busy_before);
        let wall = seconds(read(ClockId::Monotonic), wall_before);
        println!(
            "{:<9} {:>6.0} ten-order swarm seeds/s of one core ({:.0} by the wall), {:>8.0} bus events/s \
             (published, delivered, settled), {:>9.0} calls and faults/s",
            model.name(),
            SEEDS as f64 / busy,
            SEEDS as f64 / wall,
            bus_events as f64 / busy,
            events as f64 / busy
        );
    }
    ExitCode::SUCCESS
}

fn read(clock: ClockId) -> Duration {
    Duration::try_from(clock_gettime(clock)).unwrap_or_default()
}

fn seconds(now: Duration, before: Duration) -> f64 {
    now.saturating_sub(before).max(Duration::from_millis(1)).as_secs_f64()
}
