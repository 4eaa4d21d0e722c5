//! What goes over the wire, seen from outside: calls made, and whether they are answered.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use bus::{BusState, Error};
use tracing::{info, warn};

/// Counts calls and remembers the last trouble.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    call_count: AtomicU64,
    trouble: Mutex<Option<String>>,
}

impl Traffic {
    /// A call is about to be made.
    pub(crate) fn count(&self) {
        self.call_count.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn call_count(&self) -> u64 {
        self.call_count.load(Ordering::Relaxed)
    }

    /// The server answered.
    pub(crate) fn answered(&self) {
        if self.trouble.lock().unwrap_or_else(PoisonError::into_inner).take().is_some() {
            info!("SQS answers again");
        }
    }

    /// A call failed for a reason that others will meet too.
    pub(crate) fn troubled(&self, error: &Error) {
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        if trouble.replace(error.to_string()).is_none() {
            warn!(%error, "SQS does not serve; trying again, nothing is lost");
        }
    }

    pub(crate) fn state(&self) -> BusState {
        match &*self.trouble.lock().unwrap_or_else(PoisonError::into_inner) {
            None => BusState::Up,
            Some(trouble) => BusState::Down(format!("{trouble}; trying again")),
        }
    }
}
