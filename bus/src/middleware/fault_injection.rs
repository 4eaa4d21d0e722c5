//! A handler that fails on purpose, the same way for the same seed.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

use super::Middleware;
use crate::Seams;
use crate::chance::{Chance, FaultReport, tell};
use crate::pipeline::{Envelope, Failure, Handled, Handler};

/// How often each kind of fault fires, in parts per thousand of runs; 1,000 is always.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HandlerFaults {
    /// The handler is not run: [`Failure::Retry`].
    pub failed_per_mille: u32,
    /// The handler is run, and its success is lost: [`Failure::Retry`]. Its effect stands, so the next
    /// attempt must find out that it is done.
    pub success_lost_per_mille: u32,
    /// The run begins up to [`slow_max`](Self::slow_max) later.
    pub slow_per_mille: u32,
    /// Longest delay of a slow run.
    pub slow_max: Duration,
}

/// How often each kind has fired, in runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HandlerFaultCounts {
    /// See [`HandlerFaults::failed_per_mille`].
    pub failed_count: u64,
    /// See [`HandlerFaults::success_lost_per_mille`]; runs that had succeeded.
    pub success_lost_count: u64,
    /// See [`HandlerFaults::slow_per_mille`].
    pub slow_count: u64,
}

/// Makes a handler fail, by chance and repeatably: is what it does safe to repeat?
///
/// `success_lost_per_mille` is the process that dies, or the lease that is lost, between the effect and
/// the ack. A handler with effects that are not [idempotent](crate::inbox) shows them twice.
///
/// * **Repeatable.** Each draw is for a purpose and a message id, as in the
///   [layer](crate::layer::FaultInjection).
/// * **Default.** [`HandlerFaults::default`] is all zero: it then draws nothing and changes nothing.
/// * **Order.** Next to the handler, so that every other middleware meets the faults.
/// * **Cancellation.** As the handler; a run that is being slow has not begun yet.
/// * **Cost.** Nothing while all is zero, else a draw for each kind and run.
///
/// ```
/// use bus::middleware::{FaultInjection, HandlerExt, HandlerFaults};
/// use bus::pipeline::{Envelope, Failure, Handler};
/// use bus::{Message, Seams};
/// # use std::sync::Arc;
/// # use bus::{Destination, Subscription};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> bus::Result<()> {
/// let seams = Seams::repeatable("2026-01-01T00:00:00Z".parse().expect("a timestamp"), 42);
/// let faults = FaultInjection::new(HandlerFaults { success_lost_per_mille: 500, ..HandlerFaults::default() }, &seams);
/// let report = faults.report();
/// let handler = (async |_: Envelope| Ok(())).with(faults);
/// # let subscription = Arc::new(Subscription::to(Destination::new("orders")?));
/// # let message = Message::new(seams.message_id("example"), "");
/// # let envelope = || Envelope::new(message.clone(), message.id().clone(), Arc::clone(&subscription), 1, None);
/// let mut failure_count = 0;
/// for _ in 0..100 {
///     failure_count += u64::from(handler.handle(envelope()).await.is_err());
/// }
/// assert_eq!(report.counts().success_lost_count, failure_count);
/// assert!((30..70).contains(&failure_count), "{failure_count}");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct FaultInjection {
    faults: HandlerFaults,
    chance: Chance,
    report: FaultReport<HandlerFaultCounts>,
}

impl FaultInjection {
    /// Fails as often as `faults` says.
    #[must_use]
    pub fn new(faults: HandlerFaults, seams: &Seams) -> Self {
        Self { faults, chance: Chance::new(seams), report: FaultReport::default() }
    }

    /// A view of what has fired, to be kept when the middleware is put on its handler.
    #[must_use]
    pub fn report(&self) -> FaultReport<HandlerFaultCounts> {
        self.report.clone()
    }
}

#[async_trait]
impl Middleware for FaultInjection {
    async fn handle(&self, envelope: Envelope, next: &dyn Handler) -> Handled {
        let (faults, chance) = (&self.faults, &self.chance);
        let identity = envelope.message_id().to_string();
        if let Some(delay) = chance.delay(faults.slow_per_mille, faults.slow_max, "fault: slow run", &identity) {
            self.report.note(|counts| counts.slow_count += 1);
            chance.wait(delay).await;
        }
        if chance.fires(faults.failed_per_mille, "fault: run failed", &identity) {
            self.report.note(|counts| counts.failed_count += 1);
            return Err(Failure::Retry("injected fault: not run".to_owned()));
        }
        next.handle(envelope).await?;
        if chance.fires(faults.success_lost_per_mille, "fault: success lost", &identity) {
            self.report.note(|counts| counts.success_lost_count += 1);
            return Err(Failure::Retry("injected fault: the success is lost".to_owned()));
        }
        Ok(())
    }
}

impl fmt::Display for HandlerFaultCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds = [
            ("run failed", self.failed_count),
            ("success lost", self.success_lost_count),
            ("slow run", self.slow_count),
        ];
        tell(&kinds, f)
    }
}
