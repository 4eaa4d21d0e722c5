//! Whether something happens, by chance and repeatably.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::{ClockExt, Moment, Seams};

/// Draws, each for a purpose and the identity of what it is about.
#[derive(Clone, Debug)]
pub(crate) struct Chance(Seams);

impl Chance {
    pub(crate) fn new(seams: &Seams) -> Self {
        Self(seams.clone())
    }

    /// Whether something that happens `per_mille` times in a thousand does. What never happens draws
    /// nothing.
    pub(crate) fn fires(&self, per_mille: u32, purpose: &'static str, identity: &str) -> bool {
        per_mille > 0 && self.0.entropy.bits(purpose, identity) % 1_000 < u128::from(per_mille)
    }

    /// A time from zero to `max`, in whole milliseconds.
    pub(crate) fn span(&self, max: Duration, purpose: &'static str, identity: &str) -> Duration {
        let milliseconds = self.0.entropy.bits(purpose, identity) % (max.as_millis() + 1);
        Duration::from_millis(u64::try_from(milliseconds).unwrap_or(u64::MAX))
    }

    /// How long something takes that is slow `per_mille` times in a thousand.
    pub(crate) fn delay(
        &self,
        per_mille: u32,
        max: Duration,
        purpose: &'static str,
        identity: &str,
    ) -> Option<Duration> {
        self.fires(per_mille, purpose, identity).then(|| self.span(max, purpose, identity))
    }

    pub(crate) fn now(&self) -> Moment {
        self.0.clock.now()
    }

    pub(crate) async fn wait(&self, span: Duration) {
        self.0.clock.sleep(span).await;
    }
}

/// A shared view of the faults that have fired, counted by kind.
#[derive(Debug, Default)]
pub struct FaultReport<C>(Arc<Mutex<C>>);

impl<C: Copy> FaultReport<C> {
    /// The counts by now.
    #[must_use]
    pub fn counts(&self) -> C {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn note(&self, note: impl FnOnce(&mut C)) {
        note(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl<C> Clone for FaultReport<C> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// One line: each kind that fired and how often, or `none`.
pub(crate) fn tell(counts: &[(&'static str, u64)], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let fired = counts.iter().filter(|(_, count)| *count > 0);
    let fired: Vec<String> = fired.map(|(kind, count)| format!("{kind} {count}×")).collect();
    f.write_str(if fired.is_empty() { "none" } else { "" })?;
    f.write_str(&fired.join(", "))
}
