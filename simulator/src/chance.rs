//! Randomness keyed by the seed, what it is for, and what it is about.
//!
//! A draw depends on nothing else, so a new one shifts no other, and a smaller plan stays in the same
//! world as the larger one it was shrunk from.

use std::sync::{Mutex, PoisonError};

use bus::Entropy;
use rustc_hash::FxHashMap;

/// The dice of a run.
#[derive(Debug)]
pub struct Chance {
    seed: u64,
    /// How often each draw was asked for, by the hash of its name. Looked up, never iterated.
    occurrences: Mutex<FxHashMap<u64, u64>>,
}

impl Chance {
    /// Draws that depend on `seed` alone.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { seed, occurrences: Mutex::default() }
    }

    /// 64 uniformly distributed bits for the n-th draw of this name.
    #[must_use]
    pub fn draw(&self, purpose: &str, identity: &str) -> u64 {
        let name = hash(purpose.as_bytes()) ^ hash(identity.as_bytes()).rotate_left(32);
        let occurrence = {
            let mut occurrences = self.occurrences.lock().unwrap_or_else(PoisonError::into_inner);
            let count = occurrences.entry(name).or_default();
            *count += 1;
            *count
        };
        mixed(mixed(self.seed ^ mixed(name)).wrapping_add(occurrence))
    }

    /// Whether something that happens `per_mille` times in a thousand does. What never happens draws
    /// nothing.
    #[must_use]
    pub fn fires(&self, per_mille: u32, purpose: &str, identity: &str) -> bool {
        per_mille > 0 && self.draw(purpose, identity) % 1_000 < u64::from(per_mille)
    }

    /// A whole number from `low` to `high`, both included.
    #[must_use]
    pub fn between(&self, low: u64, high: u64, purpose: &str, identity: &str) -> u64 {
        low + self.draw(purpose, identity) % (high.saturating_sub(low) + 1)
    }
}

impl Entropy for Chance {
    fn bits(&self, purpose: &'static str, identity: &str) -> u128 {
        let high = self.draw(purpose, identity);
        (u128::from(high) << 64) | u128::from(mixed(high ^ 0x5851_f42d_4c95_7f2d))
    }
}

/// FNV-1a, 64 bits: stable over platforms and releases.
#[must_use]
pub fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The finalizer of `splitmix64`: every input bit changes every output bit half of the time.
#[must_use]
pub fn mixed(bits: u64) -> u64 {
    let bits = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_repeat_and_do_not_shift_each_other() {
        let (one, two) = (Chance::new(7), Chance::new(7));
        let first = one.draw("jitter", "a");
        let _ = two.draw("other", "a");
        let _ = two.draw("jitter", "b");
        assert_eq!(two.draw("jitter", "a"), first);
        assert_ne!(two.draw("jitter", "a"), first, "the second draw of one name is another");
        assert_ne!(Chance::new(8).draw("jitter", "a"), first);
    }
}
