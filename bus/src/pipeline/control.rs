//! Pausing and resuming by hand.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use crate::MessageKey;

use super::isolation::SharedIsolations;

/// A handle on one pipeline, from [`Pipeline::control`](super::Pipeline::control). Clones are the
/// same handle.
///
/// It may be used before the pipeline runs, and outlives it; then it changes nothing any more.
///
/// ```
/// # fn example(pipeline: &bus::pipeline::Pipeline) {
/// let control = pipeline.control();
/// control.pause("the warehouse counts its stock");
/// control.resume();
/// # }
/// ```
#[derive(Clone)]
pub struct PipelineControl {
    desk: Arc<Desk>,
    isolations: SharedIsolations,
}

#[derive(Default)]
struct Desk {
    /// Why it is to be paused.
    pause: Mutex<Option<String>>,
    /// Wakes the pipeline, which is the only one that waits; kept until it looks.
    changed: Notify,
}

impl PipelineControl {
    pub(super) fn new(isolations: SharedIsolations) -> Self {
        Self { desk: Arc::default(), isolations }
    }

    /// Nothing more is received and no handler starts until [`resume`](Self::resume).
    ///
    /// Handlers that run finish and are settled. What has not started goes back to the bus without
    /// counting as an attempt, and so does what a receive under way still brings. Shutdown drains a
    /// paused pipeline as any other. Idempotent, without I/O; paused again it shows the newer reason.
    ///
    /// It takes hold as soon as the pipeline's task runs again:
    /// [`PausedByHand`](super::PipelineState::PausedByHand) is shown from then on.
    pub fn pause(&self, reason: impl Into<String>) {
        self.ask(Some(reason.into()));
    }

    /// Ends the pause by hand. Idempotent, without I/O.
    ///
    /// While the bus or a dependency is down the pipeline stays paused for that; and their return
    /// does not end a pause by hand.
    pub fn resume(&self) {
        self.ask(None);
    }

    /// Lets a key go on that [`Poison::Park`](super::Poison::Park) has parked. Returns whether it was.
    ///
    /// Messages that have gone to the dead letters meanwhile stay there: replay them.
    pub fn unpark(&self, key: &MessageKey) -> bool {
        self.isolations.lock().unpark(key)
    }

    fn ask(&self, pause: Option<String>) {
        *self.desk.pause.lock().unwrap_or_else(PoisonError::into_inner) = pause;
        self.desk.changed.notify_one();
    }

    /// Why the pipeline is to be paused now.
    pub(super) fn asked(&self) -> Option<String> {
        self.desk.pause.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Resolves once something else may be asked.
    pub(super) fn changed(&self) -> Notified<'_> {
        self.desk.changed.notified()
    }
}

impl fmt::Debug for PipelineControl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PipelineControl").field("pause", &self.asked()).finish_non_exhaustive()
    }
}
