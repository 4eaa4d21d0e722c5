//! Publishing again what the bus did not take.

mod answer;
mod lanes;

use std::time::Duration;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use self::answer::Answer;
use self::lanes::{Lanes, Next};
use super::Layer;
use super::partial::publish_all;
use crate::pipeline::Backoff;
use crate::{Bus, Moment, Outgoing, PublishOutcome, Result, Seams};

/// How often and how long a message is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Most publishes of one message, the first included; at least 1 is used.
    pub publish_count_max: u32,
    /// Time after the beginning of a call at which nothing is published again.
    pub time_max: Duration,
    /// Wait before the next publish.
    pub backoff: Backoff,
}

impl Default for RetryPolicy {
    /// 5 publishes within 30 s, from 100 ms to 5 s apart: what a caller may be made to wait for.
    /// A publisher with all the time in the world is the [outbox](crate::outbox)'s relay.
    fn default() -> Self {
        Self {
            publish_count_max: 5,
            time_max: Duration::from_secs(30),
            backoff: Backoff { first: Duration::from_millis(100), max: Duration::from_secs(5) },
        }
    }
}

/// Publishes again, with identical id and bytes, what was refused as
/// [retryable](crate::Error::is_retryable) or left [unknown](PublishOutcome::Unknown).
///
/// * A message of unknown outcome that is published again may be there **twice**: consumers must
///   know it by its id. It never becomes `Refused`: a first publish that may have succeeded stays
///   `Unknown`, whatever later ones answer.
/// * **Order per key** holds over all resends. On a bus without
///   [atomic batches](crate::Capability::publish_atomic) the next message of a key and destination is
///   published once the one before it is accepted or refused for good. When one is given up, those
///   behind it were not published: they are refused as a retryable
///   [`Conflict`](crate::ErrorKind::Conflict).
/// * **Atomic batches** stay so: a batch is published again as a whole, and only when nothing of it
///   was accepted. What stands behind a message refused for good stays refused with it.
/// * **Default.** [`RetryPolicy::default`].
/// * **Order.** Outside everything but tracing and metrics: each publish goes through
///   [`ClaimCheck`](super::ClaimCheck), [`CircuitBreaker`](super::CircuitBreaker),
///   [`Throttle`](super::Throttle) and [`Timeout`](super::Timeout) again.
/// * **Cancellation.** A dropped call leaves each message accepted or not, and publishes nothing
///   again. [`Bus::close`] ends every wait; the last answers stand.
/// * **Cost.** A clone of a few pointers for each message. Without atomic batches a call takes as
///   many round trips as its busiest key has messages, also when nothing fails: that is what the
///   order costs.
///
/// ```
/// use std::sync::Arc;
/// use bus::layer::{FaultInjection, Faults, LayerExt, Retry, RetryPolicy};
/// use bus::{Bus, BusExt, Declaration, Destination, Message, Outgoing, Seams};
/// use bus_memory::{MemoryBus, MemoryOptions};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> bus::Result<()> {
/// let seams = Seams::repeatable("2026-01-01T00:00:00Z".parse().expect("a timestamp"), 1);
/// let bus: Arc<dyn Bus> = MemoryBus::new(seams.clone(), MemoryOptions::default());
/// // Every third publish is refused.
/// let faults = Faults { publish_refused_per_mille: 333, ..Faults::default() };
/// let bus = bus.layer(FaultInjection::new(faults, &seams));
/// let bus = bus.layer(Retry::new(RetryPolicy { publish_count_max: 20, ..RetryPolicy::default() }, &seams));
///
/// let orders = Destination::new("orders")?;
/// bus.declare(&[Declaration::of(orders.clone())]).await?;
/// for _ in 0..100 {
///     let message = Message::new(seams.message_id("example"), "an order");
///     assert!(bus.publish_one(Outgoing::new(orders.clone(), message)).await.is_accepted());
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Retry {
    policy: RetryPolicy,
    seams: Seams,
    closing: CancellationToken,
}

impl Retry {
    /// Publishes again as `policy` says.
    #[must_use]
    pub fn new(policy: RetryPolicy, seams: &Seams) -> Self {
        Self { policy, seams: seams.clone(), closing: CancellationToken::new() }
    }

    /// One call for the whole batch, again while nothing of it was accepted.
    async fn publish_together(&self, batch: Vec<Outgoing>, next: &dyn Bus) -> Vec<PublishOutcome> {
        let begun = self.seams.clock.now();
        let mut answers: Vec<Answer> = batch.iter().map(|_| Answer::default()).collect();
        let mut wanted: Vec<usize> = (0..batch.len()).collect();
        for publish_count in 1.. {
            let outcomes = publish_all(wanted.iter().map(|index| batch[*index].clone()).collect(), next).await;
            let mut is_any_accepted = false;
            for (index, outcome) in wanted.drain(..).zip(outcomes) {
                is_any_accepted |= outcome.is_accepted();
                answers[index].take(outcome);
            }
            if !is_any_accepted {
                wanted = answer::worth_another(&batch, &answers);
            }
            let Some(first) = wanted.first() else { break };
            let due = self.seams.clock.now() + self.pause(publish_count, &batch[*first]);
            if self.is_last(publish_count, begun, due) || !self.wait(due).await {
                break;
            }
        }
        answers.into_iter().map(Answer::into_outcome).collect()
    }

    /// One message of each key and destination at a time.
    async fn publish_in_lanes(&self, batch: Vec<Outgoing>, next: &dyn Bus) -> Vec<PublishOutcome> {
        let begun = self.seams.clock.now();
        let mut lanes = Lanes::of(batch);
        loop {
            match lanes.next(self.seams.clock.now()) {
                Next::Done => break,
                Next::Wait(due) if self.wait(due).await => {}
                Next::Wait(_) => break,
                Next::Publish(wave) => {
                    let outcomes = publish_all(lanes.messages(&wave), next).await;
                    let now = self.seams.clock.now();
                    for (lane, outcome) in wave.into_iter().zip(outcomes) {
                        lanes.take(lane, outcome, |publish_count, outgoing| {
                            let due = now + self.pause(publish_count, outgoing);
                            (!self.is_last(publish_count, begun, due)).then_some(due)
                        });
                    }
                }
            }
        }
        lanes.into_outcomes()
    }

    fn pause(&self, publish_count: u32, outgoing: &Outgoing) -> Duration {
        let identity = outgoing.message().id().to_string();
        self.policy.backoff.delay(publish_count, self.seams.entropy.as_ref(), "publish again", &identity)
    }

    fn is_last(&self, publish_count: u32, begun: Moment, due: Moment) -> bool {
        publish_count >= self.policy.publish_count_max || due.since(begun) > self.policy.time_max
    }

    /// Waits until `due`; false: the bus was closed meanwhile.
    async fn wait(&self, due: Moment) -> bool {
        tokio::select! {
            biased;
            () = self.closing.cancelled() => false,
            () = self.seams.clock.sleep_until(due) => true,
        }
    }
}

#[async_trait]
impl Layer for Retry {
    async fn publish(&self, batch: Vec<Outgoing>, next: &dyn Bus) -> Vec<PublishOutcome> {
        if next.capability().publish_atomic {
            self.publish_together(batch, next).await
        } else {
            self.publish_in_lanes(batch, next).await
        }
    }

    async fn close(&self, deadline: Duration, next: &dyn Bus) -> Result<()> {
        self.closing.cancel();
        next.close(deadline).await
    }
}
