//! The bus itself.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use bus::capability::{Counting, Durability, LeaseTerms, Order, Reach};
use bus::{
    Bus, BusState, Capability, ClockExt, Declaration, Depth, Destination, Error, ErrorKind, Outgoing, PublishOutcome,
    Receiver, Result, Seams, SubscribeOptions, Subscription,
};
use futures_util::future::join_all;
use tokio::sync::mpsc;

use crate::config::{AmqpOptions, DELAY_MAX, QueueKind};
use crate::consumer::{AmqpReceiver, Consumer};
use crate::error::{closed, not_found, timed_out};
use crate::shared::Shared;
use crate::{feed, publish, publisher};

/// A bus over one virtual host of RabbitMQ. See the [crate](crate) for what it promises.
pub struct AmqpBus {
    shared: Arc<Shared>,
    capability: Capability,
    consumers: Mutex<Vec<Weak<Consumer>>>,
}

impl AmqpBus {
    /// Begins to connect, and goes on with it for as long as the bus is open.
    pub fn open(options: AmqpOptions, seams: Seams) -> Arc<Self> {
        let capability = capability(&options);
        let (jobs, handed_in) = mpsc::channel(publisher::QUEUED_COUNT);
        let shared = Arc::new(Shared::new(options, seams, jobs));
        shared.publishing.spawn(publisher::run(Arc::clone(&shared), handed_in));
        Arc::new(Self { shared, capability, consumers: Mutex::default() })
    }

    fn require_open(&self, operation: &'static str) -> Result<()> {
        if self.shared.closed.is_cancelled() { Err(closed(operation)) } else { Ok(()) }
    }

    async fn require<'a>(&self, subscription: &'a Subscription, operation: &'static str) -> Result<&'a Destination> {
        self.require_open(operation)?;
        let destination = subscription.destination();
        let exists = subscription.group().is_none() && self.shared.queues.exists(destination, operation).await?;
        if exists { Ok(destination) } else { Err(not_found(operation).with("subscription", subscription)) }
    }

    fn consumers(&self) -> Vec<Arc<Consumer>> {
        let consumers = self.consumers.lock().unwrap_or_else(PoisonError::into_inner);
        consumers.iter().filter_map(Weak::upgrade).collect()
    }
}

fn capability(options: &AmqpOptions) -> Capability {
    Capability {
        durability: if options.replicated { Durability::Replicated } else { Durability::Disk },
        reach: Reach::Network,
        order: Order::None,
        delay_max: Some(DELAY_MAX),
        nack_delay_max: Some(DELAY_MAX),
        lease: LeaseTerms { duration: None, extendable: false, total_max: Some(options.consumer_timeout) },
        receive_count: options.queue == QueueKind::Quorum,
        release_uncounted: false,
        dead_letters: true,
        groups: false,
        message_bytes_max: Some(options.message_bytes_max),
        publish_atomic: false,
        settle_confirmed: false,
        depth: Counting::Approximate,
        purge: true,
    }
}

#[async_trait]
impl Bus for AmqpBus {
    fn capability(&self) -> &Capability {
        &self.capability
    }

    fn state(&self) -> BusState {
        if self.shared.closed.is_cancelled() {
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
        if options.prefetch_count_max == 0 {
            let text = "a prefetch of 0 receives nothing; use at least 1";
            return Err(Error::new(ErrorKind::Invalid, "subscribe", text));
        }
        self.require(subscription, "subscribe").await?;
        let consumer = Consumer::open(Arc::clone(&self.shared), subscription.clone(), options);
        self.shared.tasks.spawn(feed::feed(Arc::clone(&consumer)));
        let mut consumers = self.consumers.lock().unwrap_or_else(PoisonError::into_inner);
        consumers.retain(|known| known.strong_count() > 0);
        consumers.push(Arc::downgrade(&consumer));
        Ok(Arc::new(AmqpReceiver(consumer)))
    }

    /// RabbitMQ tells over AMQP what is ready. What is in flight is counted here, so for the receivers
    /// of this bus alone; what is delayed, in the wait queues it has used.
    async fn depth(&self, subscription: &Subscription) -> Result<Depth> {
        let destination = self.require(subscription, "depth").await?;
        let ready_count = self.shared.queues.ready_count(destination).await?;
        let ready_count = ready_count.ok_or_else(|| not_found("depth").with("subscription", subscription))?;
        let delayed_count = self.shared.queues.delayed_count(destination).await?;
        let ours = self.consumers().into_iter().filter(|consumer| consumer.subscription == *subscription);
        let in_flight_count = ours.map(|consumer| consumer.state().table.count()).sum();
        Ok(Depth { ready_count, delayed_count, in_flight_count })
    }

    async fn purge(&self, subscription: &Subscription) -> Result<()> {
        let destination = self.require(subscription, "purge").await?;
        let consumers = self.consumers().into_iter().filter(|consumer| consumer.subscription == *subscription);
        let consumers: Vec<Arc<Consumer>> = consumers.collect();
        // A channel each: what was given back on one may arrive behind a purge on another.
        join_all(consumers.iter().map(|consumer| consumer.flush())).await;
        self.shared.queues.purge(destination).await?;
        // What was sent ahead and not handed out waits as well.
        join_all(consumers.iter().map(|consumer| consumer.purge())).await;
        Ok(())
    }

    async fn close(&self, deadline: Duration) -> Result<()> {
        let shared = &self.shared;
        shared.closed.cancel();
        for consumer in self.consumers() {
            consumer.end();
        }
        shared.tasks.close();
        shared.publishing.close();
        let finishing = async {
            shared.tasks.wait().await;
            shared.closing.cancel();
            shared.publishing.wait().await;
            shared.link.close().await;
        };
        let is_finished = shared.seams.clock.timeout(deadline, finishing).await.is_some();
        shared.closing.cancel();
        if is_finished {
            return Ok(());
        }
        Err(timed_out("close", "RabbitMQ did not answer; what was held comes back when it notices"))
    }
}

/// Ends everything as [`close`](Bus::close) does, without waiting for it: what was held comes again.
impl Drop for AmqpBus {
    fn drop(&mut self) {
        self.shared.closed.cancel();
        self.shared.closing.cancel();
        for consumer in self.consumers() {
            consumer.end();
        }
        // Receivers may outlive the bus, and hold what it shared.
        self.shared.link.abandon();
    }
}

impl fmt::Debug for AmqpBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AmqpBus").field("options", &self.shared.options).finish_non_exhaustive()
    }
}
