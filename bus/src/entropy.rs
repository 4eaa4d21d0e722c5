//! Randomness from outside, keyed by what it is for.

use std::sync::{Mutex, PoisonError};

use rand::rngs::{StdRng, SysRng};
use rand::{Rng, SeedableRng};

/// The entropy seam.
///
/// Every draw names its `purpose` and the stable `identity` of the message or call it is for. A
/// seeded implementation derives the value from both and from how often they were asked for, so a
/// new draw elsewhere shifts nothing; the system's ignores them.
pub trait Entropy: Send + Sync + std::fmt::Debug {
    /// 128 uniformly distributed bits.
    fn bits(&self, purpose: &'static str, identity: &str) -> u128;
}

/// A cryptographic generator, seeded once by the operating system.
#[derive(Debug)]
pub struct SystemEntropy(Mutex<StdRng>);

impl SystemEntropy {
    /// Seeds the generator.
    ///
    /// # Panics
    /// When the operating system has no entropy to give: nothing sensible can run then.
    #[must_use]
    pub fn new() -> Self {
        let rng = StdRng::try_from_rng(&mut SysRng).expect("the operating system provides entropy");
        Self(Mutex::new(rng))
    }
}

impl Default for SystemEntropy {
    fn default() -> Self {
        Self::new()
    }
}

impl Entropy for SystemEntropy {
    fn bits(&self, _purpose: &'static str, _identity: &str) -> u128 {
        let mut bytes = [0; 16];
        self.0.lock().unwrap_or_else(PoisonError::into_inner).fill_bytes(&mut bytes);
        u128::from_ne_bytes(bytes)
    }
}

/// Repeatable values from a seed: a function of seed, purpose, identity and occurrence.
#[derive(Debug)]
pub struct SeededEntropy {
    seed: u64,
    occurrences: Mutex<std::collections::BTreeMap<(&'static str, String), u64>>,
}

impl SeededEntropy {
    /// Values that depend on `seed` alone.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { seed, occurrences: Mutex::default() }
    }
}

impl Entropy for SeededEntropy {
    fn bits(&self, purpose: &'static str, identity: &str) -> u128 {
        let occurrence = {
            let mut occurrences = self.occurrences.lock().unwrap_or_else(PoisonError::into_inner);
            let count = occurrences.entry((purpose, identity.to_owned())).or_default();
            *count += 1;
            *count
        };
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&self.seed.to_le_bytes());
        seed[8..16].copy_from_slice(&fnv1a(purpose.as_bytes()).to_le_bytes());
        seed[16..24].copy_from_slice(&fnv1a(identity.as_bytes()).to_le_bytes());
        seed[24..].copy_from_slice(&occurrence.to_le_bytes());
        let mut bytes = [0; 16];
        StdRng::from_seed(seed).fill_bytes(&mut bytes);
        u128::from_le_bytes(bytes)
    }
}

/// FNV-1a, 64 bits: stable over platforms and releases, which `std`'s hashers do not promise.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeded_draws_repeat_and_do_not_shift_each_other() {
        let (one, two) = (SeededEntropy::new(7), SeededEntropy::new(7));
        let first = one.bits("id", "a");
        two.bits("jitter", "a");
        two.bits("id", "b");
        assert_eq!(two.bits("id", "a"), first);
        assert_ne!(two.bits("id", "a"), first, "the second draw of one identity is another value");
        assert_ne!(SeededEntropy::new(8).bits("id", "a"), first);
    }
}
