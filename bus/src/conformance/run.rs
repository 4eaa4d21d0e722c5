//! Runs one case.

use std::any::Any;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

use super::{Case, Harness, Time, World};
use crate::{ClockExt, Seams};

/// Time after which a case is stuck. In virtual time it passes at once when nothing moves.
const VIRTUAL_TIME_MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);
const REAL_TIME_MAX: Duration = Duration::from_secs(300);

/// Wake-ups without any time between them after which a case will never wait for time again: no
/// case needs 1,000 on the bus in memory.
const WAKES_AT_A_MOMENT_MAX: u32 = 50_000;

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
    let time = harness.time();
    let runtime = runtime(time).expect("the machine gives a runtime");
    let deviation = harness.deviations().iter().find(|deviation| deviation.case == case.name());
    let outcome = catch_unwind(AssertUnwindSafe(|| runtime.block_on(play(case, harness))));
    // A case that failed may have left something that never ends.
    runtime.shutdown_timeout(Duration::from_secs(1));
    let verdict = outcome.unwrap_or_else(|panic| Verdict::Failed(text_of(&*panic)));
    match (verdict, deviation) {
        (Verdict::Failed(how), Some(deviation)) => {
            Verdict::Skipped(format!("known deviation: {} ({how})", deviation.reason))
        }
        // What a server does now and then may pass now and then; virtual time knows no "now and then".
        (Verdict::Passed, Some(deviation)) if time == Time::Virtual => {
            Verdict::Failed(format!("a known deviation that is none any more: {}", deviation.reason))
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
    match world.seams.clock.timeout_here(limit, unless_it_spins(&world.seams, (case.run)(&world))).await {
        Some(Some(())) => Verdict::Passed,
        Some(None) => Verdict::Failed(format!(
            "spinning: it was woken {WAKES_AT_A_MOMENT_MAX} times and no time passed; look for a wait, in `receive` \
             above all, that wakes itself"
        )),
        None => Verdict::Failed(format!("stuck: nothing came of it within {limit:?}")),
    }
}

/// `None` when `work` goes on and on without a wait: virtual time stands still meanwhile, and no
/// limit on time would ever end it.
async fn unless_it_spins<F: Future>(seams: &Seams, work: F) -> Option<F::Output> {
    let mut work = pin!(work);
    let (mut moment, mut wake_count) = (seams.clock.now(), 0);
    poll_fn(|context| {
        let now = seams.clock.now();
        if now > moment {
            (moment, wake_count) = (now, 0);
        }
        wake_count += 1;
        if wake_count > WAKES_AT_A_MOMENT_MAX { Poll::Ready(None) } else { work.as_mut().poll(context).map(Some) }
    })
    .await
}

pub(super) fn runtime(time: Time) -> std::io::Result<Runtime> {
    match time {
        Time::Virtual => Builder::new_current_thread().enable_time().start_paused(true).build(),
        Time::Real { .. } => Builder::new_multi_thread().worker_threads(2).enable_all().build(),
    }
}

fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("it panicked without a message").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn work_that_wakes_itself_for_ever_is_given_up_and_work_that_waits_is_not() {
        let seams = Seams::repeatable(jiff::Timestamp::UNIX_EPOCH, 1);
        let spinning = poll_fn(|context| {
            context.waker().wake_by_ref();
            Poll::<()>::Pending
        });
        assert_eq!(unless_it_spins(&seams, spinning).await, None);
        let waiting = async {
            for _ in 0..=WAKES_AT_A_MOMENT_MAX {
                seams.clock.sleep(Duration::from_millis(1)).await;
            }
        };
        assert_eq!(unless_it_spins(&seams, waiting).await, Some(()));
    }
}
