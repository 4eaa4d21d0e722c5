//! Exponential delays with jitter; the arithmetic is the `backon` crate's.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};

use crate::Entropy;

/// Delays that double from `first` to `max`, each with up to its own length of jitter on top.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// Delay after the first failure.
    pub first: Duration,
    /// Longest delay before jitter.
    pub max: Duration,
}

impl Backoff {
    /// The delay after failure number `failure_count` (from 1) of what `identity` names.
    #[must_use]
    pub fn delay(&self, failure_count: u32, entropy: &dyn Entropy, purpose: &'static str, identity: &str) -> Duration {
        // Sixty-four doublings pass any maximum; the iterator need not run longer.
        let nth = failure_count.saturating_sub(1).min(64) as usize;
        let low_bits = u64::try_from(entropy.bits(purpose, identity) & u128::from(u64::MAX)).unwrap_or_default();
        ExponentialBuilder::new()
            .with_min_delay(self.first)
            .with_max_delay(self.max)
            .without_max_times()
            .with_jitter()
            .with_jitter_seed(low_bits)
            .build()
            .nth(nth)
            .unwrap_or(self.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::SeededEntropy;

    #[test]
    fn delays_double_to_the_maximum_with_at_most_their_own_length_of_jitter() {
        let backoff = Backoff { first: Duration::from_millis(100), max: Duration::from_secs(1) };
        let entropy = SeededEntropy::new(1);
        for (failure_count, base_ms) in [(1, 100), (2, 200), (4, 800), (5, 1000), (60, 1000), (u32::MAX, 1000)] {
            let delay = backoff.delay(failure_count, &entropy, "retry", "m");
            let base = Duration::from_millis(base_ms);
            assert!(base <= delay && delay <= 2 * base, "failure {failure_count}: {delay:?}");
        }
    }

    #[test]
    fn jitter_comes_from_the_entropy_seam_alone() {
        let backoff = Backoff { first: Duration::from_secs(1), max: Duration::from_secs(60) };
        let draw = |seed| backoff.delay(3, &SeededEntropy::new(seed), "retry", "m");
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }
}
