//! Telling a dependency that is down from messages that are bad.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;

use super::Middleware;
use crate::MessageId;
use crate::pipeline::{Envelope, Failure, Handled, Handler};

/// Messages remembered since the last success; the one with the smallest id is forgotten first.
const REMEMBERED_COUNT_MAX: usize = 4_096;

/// When failures are taken for an outage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutagePolicy {
    /// Different messages that failed, none having succeeded in between; at least 1 is used.
    pub message_count_max: u32,
    /// Failures of one message that are not held against it before one is.
    pub excuse_count_max: u32,
}

impl Default for OutagePolicy {
    /// 5 messages, as many as one has attempts; 10 excuses, which are about a minute and a half of
    /// the pipeline's probes.
    fn default() -> Self {
        Self { message_count_max: 5, excuse_count_max: 10 }
    }
}

/// Turns [`Failure::Retry`] into [`Failure::Unavailable`] when message after message fails.
///
/// For handlers that cannot tell an outage from a bad message; one that can answers
/// [`Failure::Unavailable`] itself. Once `message_count_max` different messages have failed and none
/// has succeeded, failures are not the messages' fault: the pipeline pauses, takes their attempts back,
/// and probes with one message until one succeeds. Nothing is refused without a run of the handler:
/// the pausing and probing is the pipeline's.
///
/// * **One message is no outage**, however often it fails. A bad message that becomes the probe is
///   excused `excuse_count_max` times; then the failure counts as an attempt, the message leaves
///   with its delay, and another one probes. So it reaches the dead letters, and meanwhile nothing is
///   stuck behind it for longer than these probes take. Many bad messages in a row look like an
///   outage all the same, and hold up the others one after the other.
/// * **Default.** [`OutagePolicy::default`].
/// * **Order.** Outside [`Retry`](super::Retry): what the last run left is a failure.
/// * **Cancellation.** A dropped call counts as nothing.
/// * **Cost.** A lock for a moment after each run; the ids of what failed since the last success.
///
/// ```
/// use bus::middleware::{CircuitBreaker, HandlerExt, OutagePolicy};
/// use bus::pipeline::{Envelope, Failure, Handler};
/// use bus::{Message, Seams};
/// # use std::sync::Arc;
/// # use bus::{Destination, Subscription};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> bus::Result<()> {
/// let seams = Seams::system();
/// # let subscription = Arc::new(Subscription::to(Destination::new("orders")?));
/// let envelope = || {
///     let message = Message::new(seams.message_id("example"), "");
///     Envelope::new(message.clone(), message.id().clone(), Arc::clone(&subscription), 1, None)
/// };
/// let handler = (async |_: Envelope| Err(Failure::Retry("no route to host".to_owned())))
///     .with(CircuitBreaker::new(OutagePolicy { message_count_max: 3, ..OutagePolicy::default() }));
/// for _ in 0..2 {
///     assert!(matches!(handler.handle(envelope()).await, Err(Failure::Retry(_))));
/// }
/// assert!(matches!(handler.handle(envelope()).await, Err(Failure::Unavailable(_))));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct CircuitBreaker {
    policy: OutagePolicy,
    /// Failed since the last success, each with how often it was excused.
    failed: Mutex<BTreeMap<MessageId, u32>>,
}

impl CircuitBreaker {
    /// No failure so far.
    #[must_use]
    pub fn new(policy: OutagePolicy) -> Self {
        Self { policy, failed: Mutex::default() }
    }

    fn with<R>(&self, work: impl FnOnce(&mut BTreeMap<MessageId, u32>) -> R) -> R {
        work(&mut self.failed.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether the failure of `message_id` is an outage's.
    fn is_excused(&self, message_id: &MessageId) -> bool {
        self.with(|failed| {
            if !failed.contains_key(message_id) && failed.len() >= REMEMBERED_COUNT_MAX {
                failed.pop_first();
            }
            let excuse_count = failed.entry(message_id.clone()).or_default();
            let has_excuses = *excuse_count < self.policy.excuse_count_max;
            *excuse_count = if has_excuses { *excuse_count } else { 0 };
            let message_count = u32::try_from(failed.len()).unwrap_or(u32::MAX);
            let is_excused = has_excuses && message_count >= self.policy.message_count_max;
            if is_excused && let Some(excuse_count) = failed.get_mut(message_id) {
                *excuse_count += 1;
            }
            is_excused
        })
    }
}

#[async_trait]
impl Middleware for CircuitBreaker {
    async fn handle(&self, envelope: Envelope, next: &dyn Handler) -> Handled {
        let message_id = envelope.message_id().clone();
        let handled = next.handle(envelope).await;
        match handled {
            Ok(()) => {
                self.with(BTreeMap::clear);
                Ok(())
            }
            Err(Failure::Retry(cause)) if self.is_excused(&message_id) => {
                Err(Failure::Unavailable(format!("message after message fails: {cause}")))
            }
            handled => handled,
        }
    }
}
