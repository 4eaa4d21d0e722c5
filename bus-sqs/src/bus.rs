//! The bus itself.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_sqs::types::QueueAttributeName as Name;
use bus::capability::{Counting, Durability, LeaseTerms, Order, Reach};
use bus::{
    Bus, BusState, Capability, ClockExt, Declaration, Depth, Error, ErrorKind, Outgoing, PublishOutcome, Receiver,
    Result, Seams, SubscribeOptions, Subscription,
};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::{DELAY_MAX, LEASE_TOTAL_MAX, NACK_DELAY_MAX, SqsOptions};
use crate::connect;
use crate::consumer::{Consumer, SqsReceiver};
use crate::error::Failure;
use crate::publish::{self, Senders};
use crate::queues::{Queue, Queues};
use crate::shared::{Shared, closed};
use crate::traffic::Traffic;

/// A bus over one region of SQS. See the [crate](crate) for what it promises.
pub struct SqsBus {
    shared: Arc<Shared>,
    capability: Capability,
    consumers: Mutex<Vec<Weak<Consumer>>>,
}

impl SqsBus {
    /// Makes the client. Nothing is asked of the server before it is needed.
    pub async fn open(options: SqsOptions, seams: Seams) -> Arc<Self> {
        let clients = connect::connect(&options).await;
        let traffic = Arc::new(Traffic::default());
        let queues = Arc::new(Queues::new(clients.calls.clone(), options.clone(), Arc::clone(&traffic)));
        let shared = Arc::new(Shared {
            seams,
            clients,
            queues,
            traffic,
            senders: Senders::default(),
            polls: TaskTracker::new(),
            tasks: TaskTracker::new(),
            closing: CancellationToken::new(),
            settling: CancellationToken::new(),
            options,
        });
        let capability = capability(&shared.options);
        Arc::new(Self { shared, capability, consumers: Mutex::default() })
    }

    /// How many API calls were made so far; each is paid for.
    #[must_use]
    pub fn api_call_count(&self) -> u64 {
        self.shared.traffic.call_count()
    }

    fn require_open(&self, operation: &'static str) -> Result<()> {
        if self.shared.closing.is_cancelled() { Err(closed(operation)) } else { Ok(()) }
    }

    fn consumers_of(&self, subscription: &Subscription) -> Vec<Arc<Consumer>> {
        let consumers = self.consumers.lock().unwrap_or_else(PoisonError::into_inner);
        let open = consumers.iter().filter_map(Weak::upgrade);
        open.filter(|consumer| consumer.subscription == *subscription).collect()
    }

    async fn queue(&self, subscription: &Subscription, operation: &'static str) -> Result<Arc<Queue>> {
        self.require_open(operation)?;
        let missing = || {
            let text = "no such destination or group; declare it first";
            Error::new(ErrorKind::NotFound, operation, text).with("subscription", subscription)
        };
        if subscription.group().is_some() {
            return Err(missing());
        }
        self.shared.queues.find(subscription.destination()).await?.ok_or_else(missing)
    }
}

fn capability(options: &SqsOptions) -> Capability {
    Capability {
        durability: Durability::Replicated,
        reach: Reach::Network,
        order: if options.fifo { Order::PerKey } else { Order::None },
        delay_max: (!options.fifo).then_some(DELAY_MAX),
        nack_delay_max: Some(NACK_DELAY_MAX),
        lease: LeaseTerms { duration: Some(options.lease), extendable: true, total_max: Some(LEASE_TOTAL_MAX) },
        receive_count: true,
        release_uncounted: false,
        dead_letters: true,
        groups: false,
        message_bytes_max: Some(options.message_bytes_max),
        publish_atomic: false,
        settle_confirmed: true,
        depth: Counting::Approximate,
        purge: true,
    }
}

#[async_trait]
impl Bus for SqsBus {
    fn capability(&self) -> &Capability {
        &self.capability
    }

    fn state(&self) -> BusState {
        if self.shared.closing.is_cancelled() {
            return BusState::Down("the bus is closed".to_owned());
        }
        self.shared.traffic.state()
    }

    async fn declare(&self, declarations: &[Declaration]) -> Result<()> {
        self.require_open("declare")?;
        self.shared.queues.declare(declarations).await
    }

    async fn publish(&self, batch: Vec<Outgoing>) -> Vec<PublishOutcome> {
        publish::publish(&self.shared, batch).await
    }

    async fn subscribe(&self, subscription: &Subscription, options: SubscribeOptions) -> Result<Arc<dyn Receiver>> {
        self.require_open("subscribe")?;
        check(options)?;
        let queue = self.queue(subscription, "subscribe").await?;
        let consumer = Consumer::open(Arc::clone(&self.shared), subscription.clone(), queue, options);
        let receiver = SqsReceiver(Arc::clone(&consumer));
        {
            let mut consumers = self.consumers.lock().unwrap_or_else(PoisonError::into_inner);
            consumers.retain(|known| known.strong_count() > 0);
            consumers.push(Arc::downgrade(&consumer));
        }
        // A close in between stopped only those it knew.
        self.require_open("subscribe")?;
        Ok(Arc::new(receiver))
    }

    async fn depth(&self, subscription: &Subscription) -> Result<Depth> {
        let queue = self.queue(subscription, "depth").await?;
        self.shared.traffic.count();
        let call = self.shared.clients.calls.get_queue_attributes().queue_url(&queue.url);
        let names = [
            Name::ApproximateNumberOfMessages,
            Name::ApproximateNumberOfMessagesDelayed,
            Name::ApproximateNumberOfMessagesNotVisible,
        ];
        let call = call.set_attribute_names(Some(names.to_vec()));
        let answer = call.send().await.map_err(|failure| Failure::of(&failure, "depth").error)?;
        let found = answer.attributes.unwrap_or_default();
        let count = |name: &Name| found.get(name).and_then(|text| text.parse().ok()).unwrap_or_default();
        let [ready_count, delayed_count, in_flight_count] = names.each_ref().map(count);
        Ok(Depth { ready_count, delayed_count, in_flight_count })
    }

    async fn purge(&self, subscription: &Subscription) -> Result<()> {
        let queue = self.queue(subscription, "purge").await?;
        self.shared.traffic.count();
        let call = self.shared.clients.calls.purge_queue().queue_url(&queue.url);
        call.send().await.map_err(|failure| {
            let error = Failure::of(&failure, "purge").error;
            let text = "SQS purges a queue once a minute; try again later";
            match error.kind() {
                ErrorKind::Throttled => Error::new(ErrorKind::Throttled, "purge", text).caused_by(error.to_string()),
                _ => error,
            }
        })?;
        // What was read ahead and not handed out waits as well.
        for consumer in self.consumers_of(subscription) {
            consumer.purge_buffer().await;
        }
        Ok(())
    }

    async fn close(&self, deadline: Duration) -> Result<()> {
        let shared = &self.shared;
        shared.closing.cancel();
        let consumers = std::mem::take(&mut *self.consumers.lock().unwrap_or_else(PoisonError::into_inner));
        for consumer in consumers.iter().filter_map(Weak::upgrade) {
            consumer.stop_now();
            drop(consumer.give_up_all());
        }
        shared.polls.close();
        shared.tasks.close();
        let finishing = async {
            shared.polls.wait().await;
            shared.settling.cancel();
            shared.tasks.wait().await;
        };
        let is_finished = shared.seams.clock.timeout(deadline, finishing).await.is_some();
        shared.settling.cancel();
        if is_finished {
            return Ok(());
        }
        let text = "calls to SQS were still under way; what they held comes back when its lease ends";
        Err(Error::new(ErrorKind::Timeout, "close", text))
    }
}

fn check(options: SubscribeOptions) -> Result<()> {
    let fault = if options.prefetch_count_max == 0 {
        "a prefetch of 0 receives nothing; use at least 1"
    } else if options.lease.is_some_and(|lease| lease.is_zero() || lease > LEASE_TOTAL_MAX) {
        "a lease is longer than nothing and at most 12 hours; leave it out for the queue's own"
    } else {
        return Ok(());
    };
    Err(Error::new(ErrorKind::Invalid, "subscribe", fault))
}

impl fmt::Debug for SqsBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqsBus").field("options", &self.shared.options).finish_non_exhaustive()
    }
}
