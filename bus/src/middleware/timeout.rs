//! A limit on one run of a handler.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::Middleware;
use crate::pipeline::{Envelope, Failure, Handled, Handler};
use crate::{Clock, ClockExt, Seams};

/// Cancels a handler that takes too long: [`Failure::Retry`].
///
/// [`Policy::handler_timeout`](crate::pipeline::Policy::handler_timeout) limits the handler together
/// with all its middleware. This one limits what is inside it alone: one run under
/// [`Retry`](super::Retry), or the handler without the wait of [`Throttle`](super::Throttle). It must
/// be the shorter one to have an effect.
///
/// * **Default.** None.
/// * **Order.** Next to the handler.
/// * **Cancellation.** A dropped call drops the handler, as does one whose time is over: what the
///   handler awaits must be safe to cancel.
/// * **Cost.** One timer for each run.
///
/// ```
/// use std::time::Duration;
/// use bus::middleware::{HandlerExt, Timeout};
/// use bus::pipeline::{Envelope, Failure, Handler};
/// use bus::{ClockExt, Message, Seams};
/// # use std::sync::Arc;
/// # use bus::{Destination, Subscription};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> bus::Result<()> {
/// let seams = Seams::system();
/// # let subscription = Arc::new(Subscription::to(Destination::new("orders")?));
/// # let message = Message::new(seams.message_id("example"), "");
/// # let envelope = Envelope::new(message.clone(), message.id().clone(), subscription.clone(), 1, None);
/// let limit = Timeout::new(Duration::from_secs(2), &seams);
/// let clock = seams.clock.clone();
/// let slow = move |_: Envelope| {
///     let clock = clock.clone();
///     async move {
///         clock.sleep(Duration::from_secs(3)).await;
///         Ok(())
///     }
/// };
/// let answer = slow.with(limit).handle(envelope).await;
/// assert_eq!(answer, Err(Failure::Retry("not done within 2s".to_owned())));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Timeout {
    limit: Duration,
    clock: Arc<dyn Clock>,
}

impl Timeout {
    /// Gives each run `limit`.
    #[must_use]
    pub fn new(limit: Duration, seams: &Seams) -> Self {
        Self { limit, clock: seams.clock.clone() }
    }
}

#[async_trait]
impl Middleware for Timeout {
    async fn handle(&self, envelope: Envelope, next: &dyn Handler) -> Handled {
        let in_time = self.clock.timeout(self.limit, next.handle(envelope)).await;
        in_time.unwrap_or_else(|| Err(Failure::Retry(format!("not done within {:?}", self.limit))))
    }
}
