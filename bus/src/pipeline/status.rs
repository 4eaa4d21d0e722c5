//! How a pipeline is doing, for readiness checks.

use std::sync::{Arc, Mutex, PoisonError};

use crate::Subscription;

use super::Isolated;
use super::isolation::SharedIsolations;

/// What a pipeline is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PipelineState {
    /// Not yet subscribed.
    Starting,
    /// Receiving and processing.
    Running,
    /// The bus or a dependency is down: the reason. Probing for its return.
    Paused(String),
    /// Paused through [`PipelineControl::pause`](super::PipelineControl::pause): the reason given. It
    /// hides that something is down, which shows after the pause.
    PausedByHand(String),
    /// Finishing what has started.
    Draining,
    /// It has ended: drained, with an error, or dropped.
    Stopped,
}

/// A shared view of one pipeline.
#[derive(Clone, Debug)]
pub struct PipelineStatus {
    subscription: Arc<str>,
    state: Arc<Mutex<PipelineState>>,
    isolations: SharedIsolations,
}

impl PipelineStatus {
    pub(super) fn new(subscription: &Subscription, isolations: SharedIsolations) -> Self {
        let state = Arc::new(Mutex::new(PipelineState::Starting));
        Self { subscription: subscription.to_string().into(), state, isolations }
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

    /// Messages that failed their last attempt and hold something up, under
    /// [`Poison::Park`](super::Poison::Park) or [`Poison::Stop`](super::Poison::Stop), by key and then
    /// by id: as this process last saw them, 10,000 at most.
    #[must_use]
    pub fn isolated(&self) -> Vec<Isolated> {
        self.isolations.list()
    }

    pub(super) fn set(&self, state: PipelineState) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }
}
