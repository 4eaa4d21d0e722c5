//! How a relay is doing, for readiness checks.

use std::sync::{Arc, Mutex, PoisonError};

/// A shared view of one relay.
#[derive(Clone, Debug, Default)]
pub struct RelayStatus(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    parked_count: usize,
    trouble: Option<String>,
}

impl RelayStatus {
    /// Rows the bus refuses for good, since the relay started.
    #[must_use]
    pub fn parked_count(&self) -> usize {
        self.lock().parked_count
    }

    /// Why nothing can be published right now.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.lock().trouble.clone()
    }

    pub(super) fn parked(&self) {
        self.lock().parked_count += 1;
    }

    /// Replaces the trouble; returns whether there was none before, or there is none any more.
    pub(super) fn set_trouble(&self, trouble: Option<String>) -> bool {
        let mut state = self.lock();
        let changed = state.trouble.is_some() != trouble.is_some();
        state.trouble = trouble;
        changed
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
