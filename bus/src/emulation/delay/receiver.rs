//! A receiver that sends on what is not yet due.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::warn;

use super::hop::{self, Step};
use crate::layer::ReceiverLayer;
use crate::{Bus, Clock, ClockExt, Delivery, Error, ErrorKind, PublishOutcome, Receiver, Result, Subscription};

/// Most hops in one call.
const HOP_BATCH_COUNT_MAX: usize = 64;
/// Longest wait for a hop to be accepted; the queue may be full.
const HOP_WAIT_MAX: Duration = Duration::from_secs(10);
/// Pause after a hop that was not accepted, before its message comes again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Sorts out what is not for the consumer.
pub(super) struct Hops {
    subscription: Subscription,
    clock: Arc<dyn Clock>,
    /// To the task that sends them on, in their order; bounded by the prefetch of the receiver. A task,
    /// because a full queue must not keep the consumer from emptying it.
    sorted_out: mpsc::UnboundedSender<(Step, Delivery)>,
    sending: Mutex<JoinSet<()>>,
}

/// What the task knows.
struct Sender {
    /// Weak, so that a dropped receiver is gone at once.
    receiver: Weak<dyn Receiver>,
    bus: Arc<dyn Bus>,
    subscription: Subscription,
    clock: Arc<dyn Clock>,
    native_max: Duration,
}

impl Hops {
    pub(super) fn over(
        receiver: &Arc<dyn Receiver>,
        subscription: &Subscription,
        bus: Arc<dyn Bus>,
        clock: Arc<dyn Clock>,
        native_max: Duration,
    ) -> Self {
        let (sorted_out, to_send) = mpsc::unbounded_channel();
        let sender = Sender {
            receiver: Arc::downgrade(receiver),
            bus,
            subscription: subscription.clone(),
            clock: Arc::clone(&clock),
            native_max,
        };
        let mut sending = JoinSet::new();
        sending.spawn(sender.run(to_send));
        Self { subscription: subscription.clone(), clock, sorted_out, sending: Mutex::new(sending) }
    }

    /// What of `batch` is for the consumer; the rest is on its way.
    fn sort(&self, batch: &mut Vec<Delivery>, into: &mut Vec<Delivery>) {
        let now = self.clock.wall();
        for mut delivery in batch.drain(..) {
            match hop::step(delivery.message(), &self.subscription, now) {
                Step::Deliver => {
                    hop::strip(delivery.message_mut());
                    into.push(delivery);
                }
                step => {
                    // Not taken once the receiver was closed: then dropping it gives it back.
                    let _ = self.sorted_out.send((step, delivery));
                }
            }
        }
    }
}

#[async_trait]
impl ReceiverLayer for Hops {
    async fn receive(&self, max: usize, into: &mut Vec<Delivery>, next: &dyn Receiver) -> Result<()> {
        let before = into.len();
        // Of its own, so that nothing gets past this layer when the call is dropped.
        let mut batch = Vec::new();
        loop {
            next.receive(max, &mut batch).await?;
            let is_empty = batch.is_empty();
            self.sort(&mut batch, into);
            if is_empty || into.len() > before {
                return Ok(());
            }
        }
    }

    async fn close(&self, next: &dyn Receiver) {
        self.sending.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
        next.close().await;
    }
}

impl Sender {
    async fn run(self, mut to_send: mpsc::UnboundedReceiver<(Step, Delivery)>) {
        let mut batch = Vec::new();
        while to_send.recv_many(&mut batch, HOP_BATCH_COUNT_MAX).await > 0 {
            let (hops, passing): (Vec<_>, Vec<_>) = batch.drain(..).partition(|(step, _)| matches!(step, Step::Hop));
            let passing = passing.into_iter().map(|(_, delivery)| delivery).collect();
            self.acknowledge(passing).await;
            let left = self.send_on(hops.into_iter().map(|(_, delivery)| delivery).collect()).await;
            if !left.is_empty() {
                self.clock.sleep(RETRY_AFTER).await;
            }
        }
    }

    /// Publishes the next hops and consumes what is on its way; answers what is not.
    async fn send_on(&self, deliveries: Vec<Delivery>) -> Vec<Delivery> {
        if deliveries.is_empty() {
            return deliveries;
        }
        let (destination, group) = (self.subscription.destination(), hop::group_of(&self.subscription));
        let now = self.clock.wall();
        let hops = deliveries.iter().map(|found| hop::next(found.message(), destination, group, now, self.native_max));
        let published = self.clock.timeout(HOP_WAIT_MAX, self.bus.publish(hops.collect())).await;
        let mut outcomes = published.unwrap_or_default().into_iter();
        let (mut on_their_way, mut left) = (Vec::new(), Vec::new());
        for delivery in deliveries {
            let error = match outcomes.next() {
                Some(PublishOutcome::Accepted(_)) => {
                    on_their_way.push(delivery);
                    continue;
                }
                Some(PublishOutcome::Refused(error) | PublishOutcome::Unknown(error)) => error,
                None => Error::new(ErrorKind::Timeout, "publish", "not accepted in time; the queue may be full"),
            };
            warn!(subscription = %self.subscription, message_id = %delivery.message().id(), %error,
                "a delayed message was not sent on; it comes again");
            left.push(delivery);
        }
        self.acknowledge(on_their_way).await;
        left
    }

    async fn acknowledge(&self, deliveries: Vec<Delivery>) {
        // Without a receiver they are given back when dropped.
        let Some(receiver) = self.receiver.upgrade().filter(|_| !deliveries.is_empty()) else { return };
        let outcomes = receiver.settle(deliveries.into_iter().map(Delivery::ack).collect()).await;
        let failed_count = outcomes.iter().filter(|outcome| !outcome.is_settled()).count();
        if failed_count > 0 {
            warn!(subscription = %self.subscription, failed_count, "delayed messages sent on will come twice");
        }
    }
}
