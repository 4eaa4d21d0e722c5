//! Header names, each kept once.
//!
//! The same few names come with every message. Kept for good they cost a message no allocation, and
//! none that one thread makes and another gives back. How many are kept is bounded, for foreign
//! producers may make names up.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use rustc_hash::FxHashMap;

/// Names kept for the life of the process: with their lengths 8 KiB at most.
const KEPT_COUNT_MAX: usize = 128;
const KEPT_BYTES_MAX: usize = 64;

static KEPT: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());

/// The names that one receiver has met, found without a lock.
#[derive(Default)]
pub(crate) struct Names(FxHashMap<&'static [u8], &'static str>);

impl Names {
    /// The name, without an allocation where it is one of those that are kept. It comes from text.
    pub(crate) fn name(&mut self, name: &[u8]) -> Cow<'static, str> {
        if let Some(known) = self.0.get(name) {
            return Cow::Borrowed(known);
        }
        let text = String::from_utf8_lossy(name);
        match kept(&text) {
            Some(kept) => {
                self.0.insert(kept.as_bytes(), kept);
                Cow::Borrowed(kept)
            }
            None => Cow::Owned(text.into_owned()),
        }
    }
}

fn kept(name: &str) -> Option<&'static str> {
    let mut all = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = all.get(name) {
        return Some(known);
    }
    if all.len() >= KEPT_COUNT_MAX || name.len() > KEPT_BYTES_MAX {
        return None;
    }
    let name: &'static str = Box::leak(name.into());
    all.insert(name);
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_reads_as_it_is_and_few_are_kept() {
        let mut names = Names::default();
        for number in 0..10 * KEPT_COUNT_MAX {
            let name = format!("name-{number}");
            assert_eq!(names.name(name.as_bytes()), name);
            assert_eq!(names.name(name.as_bytes()), name, "again");
        }
        let long = "x".repeat(KEPT_BYTES_MAX + 1);
        assert!(matches!(names.name(long.as_bytes()), Cow::Owned(name) if name == long));
        assert!(names.0.len() <= KEPT_COUNT_MAX, "{}", names.0.len());
    }
}
