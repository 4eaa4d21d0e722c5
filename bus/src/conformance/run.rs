//! Runs one case.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

use super::{Case, Harness, Time, World};
use crate::{ClockExt, Seams};

/// Time after which a case is stuck. In virtual time it passes at once when nothing moves.
const VIRTUAL_TIME_MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);
const REAL_TIME_MAX: Duration = Duration::from_secs(300);

/// What one case showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The promise is kept.
    Passed,
    /// It could not be shown: the flag that is in the way, or the known deviation.
    Skipped(String),
    /// The promise is broken: how.
    Failed(String),
}

/// Runs `case` on a runtime of its own.
///
/// # Panics
/// When the machine gives no runtime.
#[must_use]
pub fn run(case: &Case, harness: Arc<dyn Harness>) -> Verdict {
    let runtime = runtime(harness.time()).expect("the machine gives a runtime");
    let deviation = harness.deviations().iter().find(|deviation| deviation.case == case.name());
    let outcome = catch_unwind(AssertUnwindSafe(|| runtime.block_on(play(case, harness))));
    // A case that failed may have left something that never ends.
    runtime.shutdown_timeout(Duration::from_secs(1));
    let verdict = outcome.unwrap_or_else(|panic| Verdict::Failed(text_of(&*panic)));
    match (verdict, deviation) {
        (Verdict::Failed(how), Some(deviation)) => {
            Verdict::Skipped(format!("known deviation: {} ({how})", deviation.reason))
        }
        (verdict, _) => verdict,
    }
}

async fn play(case: &Case, harness: Arc<dyn Harness>) -> Verdict {
    let (seams, limit) = match harness.time() {
        Time::Virtual => (Seams::repeatable(jiff::Timestamp::UNIX_EPOCH, 1), VIRTUAL_TIME_MAX),
        Time::Real { .. } => (Seams::system(), REAL_TIME_MAX),
    };
    let world = match World::open(harness, seams).await {
        Ok(world) => world,
        Err(error) => return Verdict::Failed(format!("no connection: {error}")),
    };
    if let Some(flag) = case.needs().iter().find_map(|need| need.unmet(world.capability(), world.harness())) {
        return Verdict::Skipped(flag.to_owned());
    }
    match world.seams.clock.timeout_here(limit, (case.run)(&world)).await {
        Some(()) => Verdict::Passed,
        None => Verdict::Failed(format!("stuck: nothing came of it within {limit:?}")),
    }
}

fn runtime(time: Time) -> std::io::Result<Runtime> {
    match time {
        Time::Virtual => Builder::new_current_thread().enable_time().start_paused(true).build(),
        Time::Real { .. } => Builder::new_multi_thread().worker_threads(2).enable_all().build(),
    }
}

fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("it panicked without a message").to_owned()
}
