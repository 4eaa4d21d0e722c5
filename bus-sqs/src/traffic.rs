//! What goes over the wire, seen from outside: calls made, and whether they are answered.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use bus::BusState;
use tracing::{info, warn};

use crate::error::Failure;

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

    /// A call failed. What others will meet too is the state of the bus; what is about one queue, such
    /// as a policy that denies it, is told to who called and says nothing of the others.
    pub(crate) fn failed(&self, failure: &Failure) {
        let Failure { error, concerns_all: true, .. } = failure else { return };
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
