//! Running a handler again, in place.

use async_trait::async_trait;

use super::Middleware;
use crate::pipeline::{Backoff, Envelope, Failure, Handled, Handler};
use crate::{ClockExt, Seams};

/// Runs a handler again that answered [`Failure::Retry`], after a short wait and within the same
/// attempt.
///
/// For trouble that is over in moments, such as a conflicting write: the message is not handed back
/// and fetched again, and its followers are not sent back with it. Longer trouble is the policy's,
/// and a dependency that is down is [`Failure::Unavailable`]. All other answers pass.
///
/// * **Default.** None.
/// * **Order.** Inside [`CircuitBreaker`](super::CircuitBreaker), which counts what is left after
///   the last run; outside [`Throttle`](super::Throttle) and [`Timeout`](super::Timeout), which are
///   about one run.
/// * **Cancellation.** A dropped call runs nothing again.
/// * **Cost.** The lane, a handler's place and the lease are held over all runs and waits, and all of
///   them are part of [`Policy::handler_timeout`](crate::pipeline::Policy::handler_timeout). The
///   handler runs up to `attempt_count_max × run_count_max` times before the dead letters have the
///   message.
///
/// ```
/// use std::sync::atomic::{AtomicU32, Ordering};
/// use std::time::Duration;
/// use bus::middleware::{HandlerExt, Retry};
/// use bus::pipeline::{Backoff, Envelope, Failure, Handler};
/// use bus::{Message, Seams};
/// # use std::sync::Arc;
/// # use bus::{Destination, Subscription};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> bus::Result<()> {
/// let seams = Seams::system();
/// # let subscription = Arc::new(Subscription::to(Destination::new("orders")?));
/// # let message = Message::new(seams.message_id("example"), "");
/// # let envelope = Envelope::new(message.clone(), message.id().clone(), subscription.clone(), 1, None);
/// let runs = AtomicU32::new(0);
/// let third_time_lucky = move |_: Envelope| {
///     let run = runs.fetch_add(1, Ordering::Relaxed) + 1;
///     async move { if run < 3 { Err(Failure::Retry("a conflict".to_owned())) } else { Ok(()) } }
/// };
/// let backoff = Backoff { first: Duration::from_millis(10), max: Duration::from_millis(100) };
/// let handler = third_time_lucky.with(Retry::new(3, backoff, &seams));
/// assert_eq!(handler.handle(envelope).await, Ok(()));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Retry {
    run_count_max: u32,
    backoff: Backoff,
    seams: Seams,
}

impl Retry {
    /// Runs the handler up to `run_count_max` times, the first time included, with `backoff` between.
    #[must_use]
    pub fn new(run_count_max: u32, backoff: Backoff, seams: &Seams) -> Self {
        Self { run_count_max, backoff, seams: seams.clone() }
    }
}

#[async_trait]
impl Middleware for Retry {
    async fn handle(&self, envelope: Envelope, next: &dyn Handler) -> Handled {
        let mut run_count = 1;
        loop {
            match next.handle(envelope.clone()).await {
                Err(Failure::Retry(_)) if run_count < self.run_count_max => {}
                handled => return handled,
            }
            let (entropy, identity) = (self.seams.entropy.as_ref(), envelope.message_id().to_string());
            let pause = self.backoff.delay(run_count, entropy, "retry in place", &identity);
            self.seams.clock.sleep(pause).await;
            run_count += 1;
        }
    }
}
