//! `ReceiveMessage`: one long poll.

use std::sync::Arc;

use aws_sdk_sqs::types::{Message as Received, MessageSystemAttributeName as SystemName};
use bus::dead_letter::{self, Rejection};
use bus::{Delivery, ErrorKind, Lease, Moment, Result, Returns};
use futures_util::future::join_all;
use tracing::{error, warn};

use crate::consumer::{Consumer, State, safely};
use crate::convert;
use crate::error::Failure;
use crate::publish::whole_seconds;
use crate::settle;

/// Most messages of one poll (SQS quotas).
pub(crate) const COUNT_MAX: usize = 10;

/// The place of one poll under way. It is given up when the poll ends in whatever way, a panic
/// included: a receiver that believes a poll to be under way makes no other.
pub(crate) struct PollPlace {
    consumer: Arc<Consumer>,
    count: usize,
    is_counted: bool,
}

impl PollPlace {
    /// For a poll that is counted already.
    pub(crate) fn taken(consumer: &Arc<Consumer>, count: usize) -> Self {
        Self { consumer: Arc::clone(consumer), count, is_counted: true }
    }

    /// Gives the place up under the lock under which its deliveries are entered.
    fn end(mut self, state: &mut State) {
        self.is_counted = false;
        state.poll_count -= 1;
        state.polled_count -= self.count;
    }
}

impl Drop for PollPlace {
    fn drop(&mut self) {
        if self.is_counted {
            let mut state = self.consumer.state();
            state.poll_count -= 1;
            state.polled_count -= self.count;
            drop(state);
            self.consumer.changed.notify_waiters();
        }
    }
}

/// Polls once and buffers what comes.
pub(crate) async fn poll(consumer: Arc<Consumer>, place: PollPlace) {
    let asked_at = consumer.now();
    match receive(&consumer, place.count).await {
        Ok(messages) => {
            consumer.shared.traffic.answered();
            // SQS does not say when it handed them out, only that a poll waits no longer than asked:
            // what comes later was on its way, and its lease was running.
            let handed_out = consumer.now().min(asked_at + consumer.shared.options.wait);
            arrive(&consumer, messages, place, handed_out).await;
        }
        Err(failure) => {
            if failure.error.kind() == ErrorKind::NotFound {
                match consumer.shared.queues.recover(&consumer.queue.destination).await {
                    // Not at once: a deleted queue may be shown for a minute to those who ask for it.
                    Ok(_) => consumer.poll_later(),
                    Err(error) => consumer.poll_failed(error),
                }
            } else {
                consumer.shared.traffic.failed(&failure);
                consumer.poll_failed(failure.error);
            }
            // Only now: a place that is free before the pause is known is taken at once.
            drop(place);
        }
    }
    consumer.changed.notify_waiters();
}

async fn receive(consumer: &Consumer, count: usize) -> Result<Vec<Received>, Failure> {
    let shared = &consumer.shared;
    let mut call = shared
        .clients
        .polls
        .receive_message()
        .queue_url(&consumer.queue.url)
        .max_number_of_messages(i32::try_from(count).unwrap_or(1))
        .wait_time_seconds(whole_seconds(shared.options.wait))
        // Said each time, the queue's own as well: somebody may change that while we count by it.
        .visibility_timeout(whole_seconds(consumer.lease()))
        .message_attribute_names("All")
        .message_system_attribute_names(SystemName::ApproximateReceiveCount);
    if shared.options.fifo {
        call = call.message_system_attribute_names(SystemName::MessageGroupId);
    }
    shared.traffic.count();
    let answer = call.send().await.map_err(|failure| Failure::of(&failure, "receive"))?;
    Ok(answer.messages.unwrap_or_default())
}

/// Buffers messages, or gives them back when the receiver was stopped meanwhile.
async fn arrive(consumer: &Arc<Consumer>, messages: Vec<Received>, place: PollPlace, handed_out: Moment) {
    let deadline = handed_out + safely(consumer.lease());
    let returns: Arc<dyn Returns> = Arc::clone(consumer) as _;
    let is_full = messages.len() == COUNT_MAX && place.count == COUNT_MAX;
    let mut odd = Vec::new();
    let mut returned = Vec::new();
    {
        let mut state = consumer.state();
        place.end(&mut state);
        state.failure_count = 0;
        state.next_poll_at = None;
        let wanted = if is_full { state.poll_count_wanted.max(1) * 2 } else { 1 };
        state.poll_count_wanted = wanted.min(consumer.shared.options.poll_count_max);
        for received in messages {
            let Some(receipt) = received.receipt_handle().map(str::to_owned) else { continue };
            if state.is_stopped || consumer.shared.closing.is_cancelled() {
                returned.push(receipt);
                continue;
            }
            match convert::from_wire(&received) {
                Err(reason) => odd.push((received, receipt, reason)),
                Ok(message) => {
                    let counted =
                        received.attributes().and_then(|found| found.get(&SystemName::ApproximateReceiveCount));
                    let receive_count = counted.and_then(|text| text.parse().ok());
                    let token = state.table.add(receipt, message.clone(), receive_count, handed_out, deadline);
                    let lease = Lease { deadline: Some(deadline) };
                    state.buffer.push_back(Delivery::new(message, token, lease, receive_count, Arc::clone(&returns)));
                }
            }
        }
    }
    for receipt in returned {
        consumer.put_back(receipt, 0);
    }
    consumer.leases_changed.notify_waiters();
    consumer.changed.notify_waiters();
    let kept = odd.into_iter().map(|(received, receipt, reason)| async move {
        quarantine(consumer, &received, (receipt, deadline), &reason).await;
    });
    join_all(kept).await;
}

/// Keeps what cannot be read in the dead letters, as it is; only then it leaves the queue.
async fn quarantine(consumer: &Consumer, received: &Received, receipt: (String, Moment), reason: &str) {
    let subscription = &consumer.subscription;
    warn!(%subscription, broker_id = received.message_id(), reason, "an unreadable message goes to the dead letters");
    let mut message = convert::raw(received);
    let (reason, at) = (format!("invalid message: {reason}"), consumer.shared.seams.clock.wall());
    dead_letter::mark(&mut message, &Rejection { subscription, reason: &reason, receive_count: None, at });
    match settle::bury(consumer, message).await {
        Ok(()) => drop(consumer.deletes.submit([receipt]).all().await),
        Err(error) => error!(%subscription, %error, "an unreadable message could not be kept aside; it comes again"),
    }
}
