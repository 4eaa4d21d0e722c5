//! So many a second and not more; the arithmetic is the `governor` crate's, on our own clock.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::RateLimiter;
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};

use crate::{Clock, Moment};

/// How many a second, and how many at once after a rest.
///
/// Over any span of `t` seconds at most `burst_count_max + t × count_per_second` are let through.
/// A wait ends on a tick of the clock, which is a millisecond on tokio's: with a burst below a
/// thousandth of `count_per_second` the rate is not reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// The lasting rate; at least 1 is used.
    pub count_per_second: u32,
    /// Most at once; at least 1 is used.
    pub burst_count_max: u32,
}

/// Lets through at a [`Rate`], first come, first served.
pub(crate) struct Limiter {
    rate: Rate,
    bucket: RateLimiter<NotKeyed, InMemoryState, Ticks, NoOpMiddleware<Duration>>,
    clock: Arc<dyn Clock>,
    /// Whoever wants many at once would wait for ever behind a stream of those who want one.
    turn: tokio::sync::Mutex<()>,
}

impl Limiter {
    pub(crate) fn new(rate: Rate, clock: Arc<dyn Clock>) -> Self {
        let quota = governor::Quota::per_second(at_least_one(rate.count_per_second))
            .allow_burst(at_least_one(rate.burst_count_max));
        let bucket = RateLimiter::direct_with_clock(quota, Ticks(Arc::clone(&clock)));
        Self { rate, bucket, clock, turn: tokio::sync::Mutex::new(()) }
    }

    /// Most that [`admit`](Self::admit) takes in one call.
    pub(crate) fn burst_count_max(&self) -> usize {
        usize::try_from(self.rate.burst_count_max.max(1)).unwrap_or(usize::MAX)
    }

    /// Waits until `count` may pass; more than a burst counts as a burst.
    ///
    /// Dropped before it is done, it has taken nothing.
    pub(crate) async fn admit(&self, count: usize) {
        let count = u32::try_from(count.min(self.burst_count_max())).unwrap_or(u32::MAX);
        let Some(count) = NonZeroU32::new(count) else { return };
        let _turn = self.turn.lock().await;
        while let Ok(Err(not_yet)) = self.bucket.check_n(count) {
            self.clock.sleep_until(Moment::from_origin(not_yet.earliest_possible())).await;
        }
    }
}

impl fmt::Debug for Limiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.rate.fmt(f)
    }
}

fn at_least_one(count: u32) -> NonZeroU32 {
    NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN)
}

/// Our clock as `governor` reads it: time since the origin.
struct Ticks(Arc<dyn Clock>);

impl governor::clock::Clock for Ticks {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.now().since_origin()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Seams;

    fn limiter(count_per_second: u32, burst_count_max: u32) -> (Limiter, Arc<dyn Clock>) {
        let clock = Seams::repeatable(jiff::Timestamp::UNIX_EPOCH, 1).clock;
        (Limiter::new(Rate { count_per_second, burst_count_max }, Arc::clone(&clock)), clock)
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_passes_at_once_and_the_rest_at_the_rate() {
        let (limiter, clock) = limiter(10, 5);
        let begun = clock.now();
        let mut passed_ms = Vec::new();
        for _ in 0..8 {
            limiter.admit(1).await;
            passed_ms.push(clock.now().since(begun).as_millis());
        }
        assert_eq!(passed_ms, [0, 0, 0, 0, 0, 100, 200, 300]);
    }

    #[tokio::test(start_paused = true)]
    async fn who_wants_many_is_not_overtaken_by_those_who_want_one() {
        let (limiter, clock) = limiter(10, 5);
        limiter.admit(5).await;
        let begun = clock.now();
        let many = async {
            limiter.admit(5).await;
            clock.now().since(begun)
        };
        let one = async {
            limiter.admit(1).await;
            clock.now().since(begun)
        };
        let (many, one) = futures_util::future::join(many, one).await;
        assert_eq!((many.as_millis(), one.as_millis()), (500, 600));
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_and_too_much_pass_too() {
        let (limiter, clock) = limiter(0, 0);
        let begun = clock.now();
        for count in [0, 1, 0, 1_000] {
            limiter.admit(count).await;
        }
        assert_eq!(clock.now().since(begun), Duration::from_secs(1), "one a second, and 1,000 count as a burst of one");
    }
}
