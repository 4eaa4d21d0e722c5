//! `ReceiveMessage`: one long poll.

use std::sync::Arc;

use aws_sdk_sqs::types::{Message as Received, MessageSystemAttributeName as SystemName};
use bus::dead_letter::{self, Rejection};
use bus::{Delivery, ErrorKind, Lease, Result, Returns};
use tracing::{error, warn};

use crate::consumer::{Consumer, safely};
use crate::convert;
use crate::error::Failure;
use crate::publish::whole_seconds;
use crate::settle;

/// Most messages of one poll (SQS quotas).
pub(crate) const COUNT_MAX: usize = 10;

/// Polls once for at most `count` messages and buffers what comes.
pub(crate) async fn poll(consumer: Arc<Consumer>, count: usize) {
    let received = receive(&consumer, count).await;
    {
        let mut state = consumer.state();
        state.poll_count -= 1;
        state.polled_count -= count;
    }
    match received {
        Ok(messages) => {
            consumer.shared.traffic.answered();
            arrive(&consumer, messages, count).await;
        }
        Err(failure) if failure.error.kind() == ErrorKind::NotFound => {
            if let Err(error) = consumer.shared.queues.recover(&consumer.queue.destination).await {
                consumer.poll_failed(error);
            }
        }
        Err(failure) => {
            consumer.shared.traffic.troubled(&failure.error);
            consumer.poll_failed(failure.error);
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
        .message_attribute_names("All")
        .message_system_attribute_names(SystemName::ApproximateReceiveCount);
    if shared.options.fifo {
        call = call.message_system_attribute_names(SystemName::MessageGroupId);
    }
    if let Some(lease) = consumer.lease {
        call = call.visibility_timeout(whole_seconds(lease));
    }
    shared.traffic.count();
    let answer = call.send().await.map_err(|failure| Failure::of(&failure, "receive"))?;
    Ok(answer.messages.unwrap_or_default())
}

/// Buffers messages, or gives them back when the receiver was stopped meanwhile.
async fn arrive(consumer: &Arc<Consumer>, messages: Vec<Received>, count: usize) {
    let now = consumer.now();
    let lease = consumer.lease.unwrap_or(consumer.queue.lease);
    let deadline = now + safely(lease);
    let returns: Arc<dyn Returns> = Arc::clone(consumer) as _;
    let is_full = messages.len() == COUNT_MAX && count == COUNT_MAX;
    let mut odd = Vec::new();
    let mut returned = Vec::new();
    {
        let mut state = consumer.state();
        state.failure_count = 0;
        state.next_poll_at = None;
        let wanted = if is_full { state.poll_count_wanted.max(1) * 2 } else { 1 };
        state.poll_count_wanted = wanted.min(consumer.shared.options.poll_count_max);
        for received in messages {
            let Some(receipt) = received.receipt_handle().map(str::to_owned) else { continue };
            if state.is_stopped {
                returned.push(receipt);
                continue;
            }
            match convert::from_wire(&received) {
                Err(reason) => odd.push((received, receipt, reason)),
                Ok(message) => {
                    let counted =
                        received.attributes().and_then(|found| found.get(&SystemName::ApproximateReceiveCount));
                    let receive_count = counted.and_then(|text| text.parse().ok());
                    let token = state.table.add(receipt, message.clone(), receive_count, now, deadline);
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
    for (received, receipt, reason) in odd {
        quarantine(consumer, &received, receipt, &reason).await;
    }
}

/// Keeps what cannot be read in the dead letters, as it is; only then it leaves the queue.
async fn quarantine(consumer: &Consumer, received: &Received, receipt: String, reason: &str) {
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
