//! How a pipeline is doing, for readiness checks.

use std::sync::{Arc, Mutex, PoisonError};

use crate::Subscription;

/// What a pipeline is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PipelineState {
    /// Not yet subscribed.
    Starting,
    /// Receiving and processing.
    Running,
    /// A dependency is down: the reason. Probing for its return.
    Paused(String),
    /// Finishing what has started.
    Draining,
    /// Done.
    Stopped,
}

/// A shared view of one pipeline.
#[derive(Clone, Debug)]
pub struct PipelineStatus {
    subscription: Arc<str>,
    state: Arc<Mutex<PipelineState>>,
}

impl PipelineStatus {
    pub(super) fn new(subscription: &Subscription) -> Self {
        Self { subscription: subscription.to_string().into(), state: Arc::new(Mutex::new(PipelineState::Starting)) }
    }

    /// The subscription's name.
    #[must_use]
    pub fn subscription(&self) -> &str {
        &self.subscription
    }

    /// What it is doing now.
    #[must_use]
    pub fn state(&self) -> PipelineState {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set(&self, state: PipelineState) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }
}
