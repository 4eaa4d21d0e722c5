//! The delivery pipeline: runs a [`Handler`] over a subscription and settles what it decides.
//!
//! It owns what every consumer needs and few get right: bounded concurrency, order per key,
//! timeouts, panics, back-off, dead letters after exactly N attempts, lease heartbeats, pausing by
//! hand and while something is down, and a drain that strands nothing. One task runs all handlers
//! of a pipeline concurrently; work that blocks a thread belongs on a thread of its own.
//!
//! | module | one idea |
//! |---|---|
//! | [`handler`](self) | what a handler gets and may answer |
//! | `policy` | every number, with its default |
//! | `attempts` | counting handler starts, per process or durably |
//! | `lanes` | messages of one key, one after the other |
//! | `flight` | one running handler: panics caught, can be cancelled |
//! | `gate` | why nothing flows: paused by hand, the bus or a dependency down |
//! | `control` | pausing and resuming by hand |
//! | `isolation` | messages that fail their last attempt, and the keys behind them |
//! | `hand` | every delivery in hand, and its lease |
//! | `engine` | the loop that joins them |

mod attempts;
mod backoff;
mod control;
mod engine;
mod flight;
mod gate;
mod hand;
mod handler;
mod isolation;
mod lanes;
mod policy;
mod status;

use std::fmt;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

pub use attempts::{Attempts, Begun};
pub use backoff::Backoff;
pub use control::PipelineControl;
pub use handler::{Envelope, Failure, Handled, Handler, Identity};
pub use isolation::{Isolated, Isolation, Poison};
pub use policy::Policy;
pub use status::{PipelineState, PipelineStatus};

use isolation::SharedIsolations;

use crate::{Bus, Message, Result, Seams, SubscribeOptions, Subscription};

/// Names a message whose producer did not: see [`Pipeline::identify_with`].
pub type Identify = dyn Fn(&Message) -> Identity + Send + Sync;

/// A subscription, its handler and the policy between them.
pub struct Pipeline {
    bus: Arc<dyn Bus>,
    subscription: Subscription,
    shared_subscription: Arc<Subscription>,
    handler: Arc<dyn Handler>,
    policy: Policy,
    seams: Seams,
    attempts: Option<Arc<dyn Attempts>>,
    identify: Option<Arc<Identify>>,
    isolations: SharedIsolations,
    status: PipelineStatus,
    control: PipelineControl,
}

impl Pipeline {
    /// A pipeline that counts attempts in this process.
    #[must_use]
    pub fn new(bus: Arc<dyn Bus>, subscription: Subscription, handler: Arc<dyn Handler>, seams: Seams) -> Self {
        let isolations = SharedIsolations::default();
        let status = PipelineStatus::new(&subscription, isolations.clone());
        let control = PipelineControl::new(isolations.clone());
        let shared_subscription = Arc::new(subscription.clone());
        Self {
            bus,
            subscription,
            shared_subscription,
            handler,
            policy: Policy::default(),
            seams,
            attempts: None,
            identify: None,
            isolations,
            status,
            control,
        }
    }

    /// Replaces the default policy.
    #[must_use]
    pub fn with_policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// Counts attempts durably; a message that is already done is acknowledged without its handler.
    #[must_use]
    pub fn with_attempts(mut self, attempts: Arc<dyn Attempts>) -> Self {
        self.attempts = Some(attempts);
        self
    }

    /// Takes id and key from the body where a foreign producer set neither.
    #[must_use]
    pub fn identify_with(mut self, identify: impl Fn(&Message) -> Identity + Send + Sync + 'static) -> Self {
        self.identify = Some(Arc::new(identify));
        self
    }

    /// How it is doing, for readiness; lives on after [`run`](Self::run).
    #[must_use]
    pub fn status(&self) -> PipelineStatus {
        self.status.clone()
    }

    /// To pause and resume it, before and while it runs; lives on after [`run`](Self::run).
    #[must_use]
    pub fn control(&self) -> PipelineControl {
        self.control.clone()
    }

    /// Runs until `shutdown`, then drains: running handlers finish within [`Policy::drain`], all
    /// else goes back unstarted, settlements are flushed.
    ///
    /// `Ok` says that it has ended, not that all was settled in time: what was not comes again. A dropped
    /// call drops the handlers that run, and all deliveries in hand return like any dropped delivery.
    ///
    /// # Errors
    /// [`Unsupported`](crate::ErrorKind::Unsupported) when the bus lacks what [`Policy::poison`] needs;
    /// else whatever kept it from subscribing. A broken connection later is no error: it pauses.
    pub async fn run(self, shutdown: CancellationToken) -> Result<()> {
        let _end = End(self.status.clone());
        self.policy.poison.require(self.bus.capability())?;
        let options = SubscribeOptions { prefetch_count_max: self.policy.prefetch_count(), lease: self.policy.lease };
        let receiver = tokio::select! {
            biased;
            () = shutdown.cancelled() => return Ok(()),
            receiver = self.bus.subscribe(&self.subscription, options) => receiver?,
        };
        engine::Engine::new(&self, receiver, self.bus.capability()).run(shutdown).await;
        Ok(())
    }
}

/// Shows that a pipeline has ended, also with an error and when it was dropped.
struct End(PipelineStatus);

impl Drop for End {
    fn drop(&mut self) {
        self.0.set(PipelineState::Stopped);
    }
}

impl fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipeline")
            .field("subscription", &self.subscription)
            .field("policy", &self.policy)
            .field("is_counted_durably", &self.attempts.is_some())
            .field("state", &self.status.state())
            .finish_non_exhaustive()
    }
}
