//! Whether the brokers answer, seen from outside.

use std::sync::{Mutex, PoisonError};

use bus::{BusState, Error};
use tracing::{info, warn};

/// Remembers the last trouble.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    trouble: Mutex<Option<String>>,
}

impl Traffic {
    /// A broker answered.
    pub(crate) fn answered(&self) {
        if self.trouble.lock().unwrap_or_else(PoisonError::into_inner).take().is_some() {
            info!("Kafka answers again");
        }
    }

    /// Something failed for a reason that others will meet too.
    pub(crate) fn troubled(&self, error: &Error) {
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        if trouble.replace(error.to_string()).is_none() {
            warn!(%error, "Kafka does not serve; trying again, nothing is lost");
        }
    }

    pub(crate) fn is_troubled(&self) -> bool {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    pub(crate) fn state(&self) -> BusState {
        match &*self.trouble.lock().unwrap_or_else(PoisonError::into_inner) {
            None => BusState::Up,
            Some(trouble) => BusState::Down(format!("{trouble}; trying again")),
        }
    }
}
