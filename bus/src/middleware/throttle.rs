//! At most so many handler starts a second.

use async_trait::async_trait;

use super::Middleware;
use crate::pipeline::{Envelope, Handled, Handler};
use crate::rate::Limiter;
use crate::{Rate, Seams};

/// Starts the handler at a [`Rate`]; deliveries wait, first come, first served.
///
/// Against the quota of what the handler calls.
///
/// * **Default.** None: a quota is the dependency's to say.
/// * **Order.** Inside [`Retry`](super::Retry), so that each run counts; outside
///   [`Timeout`](super::Timeout), so that the wait is not part of the handler's time.
/// * **The wait is part of the policy's time.**
///   [`Policy::handler_timeout`](crate::pipeline::Policy::handler_timeout) runs from the moment the
///   outermost middleware is called, and a delivery that is cut off while it waits here has failed
///   an attempt. With `concurrency_max` deliveries waiting the last one waits
///   `concurrency_max / count_per_second` seconds: keep `handler_timeout` well above that and give
///   the handler its own limit with [`Timeout`](super::Timeout).
/// * **Cancellation.** A dropped call waits no more and has taken nothing of the rate.
/// * **Cost.** One lock and one atomic operation for each start. Who waits holds a lane, a handler's
///   place and a lease, which the pipeline extends.
///
/// ```
/// use bus::middleware::{HandlerExt, Throttle};
/// use bus::pipeline::{Envelope, Handler};
/// use bus::{Message, Rate, Seams};
/// # use std::sync::Arc;
/// # use bus::{Destination, Subscription};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> bus::Result<()> {
/// let seams = Seams::system();
/// let rate = Rate { count_per_second: 10, burst_count_max: 1 };
/// let handler = (async |_: Envelope| Ok(())).with(Throttle::new(rate, &seams));
/// # let subscription = Arc::new(Subscription::to(Destination::new("orders")?));
/// # let message = Message::new(seams.message_id("example"), "");
/// # let envelope = || Envelope::new(message.clone(), message.id().clone(), subscription.clone(), 1, None);
/// let begun = seams.clock.now();
/// for _ in 0..3 {
///     assert_eq!(handler.handle(envelope()).await, Ok(()));
/// }
/// assert_eq!(seams.clock.now().since(begun).as_millis() / 100, 2);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Throttle(Limiter);

impl Throttle {
    /// A throttle of its own.
    #[must_use]
    pub fn new(rate: Rate, seams: &Seams) -> Self {
        Self(Limiter::new(rate, seams.clock.clone()))
    }
}

#[async_trait]
impl Middleware for Throttle {
    async fn handle(&self, envelope: Envelope, next: &dyn Handler) -> Handled {
        self.0.admit(1).await;
        next.handle(envelope).await
    }
}
