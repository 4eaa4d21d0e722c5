//! Time from outside: nothing in this project reads an ambient clock.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

/// A point in monotonic time, counted from an origin that only its [`Clock`] knows.
///
/// Leases, back-off and deadlines use it; it never jumps and means nothing in another process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Moment(Duration);

impl Moment {
    /// The moment `since_origin` after the clock's origin.
    #[must_use]
    pub const fn from_origin(since_origin: Duration) -> Self {
        Self(since_origin)
    }

    /// Time since the clock's origin.
    #[must_use]
    pub const fn since_origin(self) -> Duration {
        self.0
    }

    /// Time from `earlier` until now, zero when `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl std::ops::Add<Duration> for Moment {
    type Output = Self;
    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }
}

/// The clock seam.
#[async_trait]
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// Calendar time, for timestamps on the wire. It may jump; never measure with it.
    fn wall(&self) -> Timestamp;

    /// Monotonic time, for everything that is measured or awaited.
    fn now(&self) -> Moment;

    /// Resolves once `now() >= deadline`. Dropping the future ends the wait.
    async fn sleep_until(&self, deadline: Moment);
}

/// What follows from a [`Clock`].
pub trait ClockExt: Clock {
    /// Resolves after `duration`.
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send {
        self.sleep_until(self.now() + duration)
    }

    /// Runs `work` for at most `limit`; `None` when time ran out, and `work` was dropped.
    fn timeout<F: Future + Send>(&self, limit: Duration, work: F) -> impl Future<Output = Option<F::Output>> + Send {
        within(self.sleep_until(self.now() + limit), work)
    }

    /// The same for work that stays on its thread.
    fn timeout_here<F: Future>(&self, limit: Duration, work: F) -> impl Future<Output = Option<F::Output>> {
        within(self.sleep_until(self.now() + limit), work)
    }
}

impl<C: Clock + ?Sized> ClockExt for C {}

async fn within<F: Future>(mut deadline: Pin<Box<dyn Future<Output = ()> + Send + '_>>, work: F) -> Option<F::Output> {
    let mut work = pin!(work);
    std::future::poll_fn(move |context| {
        if let Poll::Ready(output) = work.as_mut().poll(context) {
            return Poll::Ready(Some(output));
        }
        deadline.as_mut().poll(context).map(|()| None)
    })
    .await
}

/// The machine's clocks, on tokio's timer. The only place that reads them.
///
/// On a runtime with paused time its monotonic side is tokio's virtual time.
#[derive(Debug)]
pub struct SystemClock {
    origin: tokio::time::Instant,
    wall: Wall,
}

#[derive(Debug)]
enum Wall {
    Machine,
    /// Calendar time that runs with the monotonic clock from a fixed start.
    Since(Timestamp),
}

#[expect(clippy::disallowed_methods, reason = "the clock seam itself: everything else takes a Clock")]
impl SystemClock {
    /// Calendar time from the machine.
    #[must_use]
    pub fn new() -> Self {
        Self { origin: tokio::time::Instant::now(), wall: Wall::Machine }
    }

    /// Calendar time that starts at `start` and runs with tokio's timer: with paused time both
    /// sides are virtual and a run repeats exactly.
    #[must_use]
    pub fn starting_at(start: Timestamp) -> Self {
        Self { origin: tokio::time::Instant::now(), wall: Wall::Since(start) }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

#[expect(clippy::disallowed_methods, reason = "the clock seam itself: everything else takes a Clock")]
#[async_trait]
impl Clock for SystemClock {
    fn wall(&self) -> Timestamp {
        match self.wall {
            Wall::Machine => Timestamp::now(),
            Wall::Since(start) => start.saturating_add(self.origin.elapsed()).unwrap_or(start),
        }
    }

    fn now(&self) -> Moment {
        Moment(self.origin.elapsed())
    }

    async fn sleep_until(&self, deadline: Moment) {
        match self.origin.checked_add(deadline.0) {
            Some(instant) => tokio::time::sleep_until(instant).await,
            // Later than the machine can count.
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_moment_beyond_all_time_is_never_reached() {
        let clock = SystemClock::new();
        let for_ever = clock.sleep(Duration::MAX);
        assert_eq!(clock.timeout(Duration::from_secs(1), for_ever).await, None);
    }
}
