//! The bus itself.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use bus::capability::{Counting, Durability, LeaseTerms, Order, Reach};
use bus::{
    Bus, BusState, Capability, ClockExt as _, Declaration, Depth, Error, ErrorKind, Outgoing, PublishOutcome, Receiver,
    Result, Seams, SubscribeOptions, Subscription,
};
use tokio_util::sync::CancellationToken;

use crate::config::{KafkaOptions, NACK_DELAY_MAX};
use crate::consumer::{Consumer, KafkaReceiver};
use crate::desk::Desk;
use crate::holder;
use crate::lag::PartitionLag;
use crate::member::Member;
use crate::producer::Publisher;
use crate::publish;
use crate::shared::{Shared, closed};
use crate::topology::Topics;
use crate::traffic::Traffic;

/// How long a subscription waits for its first partitions. Without any it stands by, and receives as
/// soon as it gets some.
const JOIN_MAX: Duration = Duration::from_secs(10);

/// A bus over one Kafka cluster. See the [crate](crate) for what it promises.
pub struct KafkaBus {
    shared: Arc<Shared>,
    capability: Capability,
    members: Mutex<BTreeMap<Subscription, Weak<Member>>>,
    /// Members that are to have ended when the bus has closed.
    consumers: Mutex<Vec<Weak<Consumer>>>,
    last_reader: AtomicU64,
}

impl KafkaBus {
    /// Makes the clients. Nothing is asked of the brokers before it is needed.
    ///
    /// # Errors
    /// [`Unexpected`](ErrorKind::Unexpected) when librdkafka cannot make a client.
    pub fn open(options: KafkaOptions, seams: Seams) -> Result<Arc<Self>> {
        let traffic = Arc::new(Traffic::default());
        let desk = Desk::open(&options, Arc::clone(&traffic))?;
        let topics = Topics::open(&options, seams.clone(), desk)?;
        let publisher = Publisher::open(&options, seams.clone(), Arc::clone(&traffic))?;
        let capability = capability(&options);
        let shared = Arc::new(Shared { options, seams, traffic, topics, publisher, closing: CancellationToken::new() });
        let (members, consumers) = (Mutex::default(), Mutex::default());
        Ok(Arc::new(Self { shared, capability, members, consumers, last_reader: AtomicU64::new(0) }))
    }

    /// How far the members of this bus are, by group and partition; from memory, for metrics.
    #[must_use]
    pub fn lag(&self) -> Vec<PartitionLag> {
        let members: Vec<Arc<Member>> = self.members().values().filter_map(Weak::upgrade).collect();
        members.iter().flat_map(|member| member.lag()).collect()
    }

    fn members(&self) -> MutexGuard<'_, BTreeMap<Subscription, Weak<Member>>> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn require_open(&self, operation: &'static str) -> Result<()> {
        if self.shared.closing.is_cancelled() { Err(closed(operation)) } else { Ok(()) }
    }

    /// A receiver at the member of its subscription, which is made when there is none.
    fn admit(&self, subscription: &Subscription, options: SubscribeOptions) -> Result<Arc<Consumer>> {
        let reader = self.last_reader.fetch_add(1, Ordering::Relaxed) + 1;
        let mut members = self.members();
        members.retain(|_, known| known.strong_count() > 0);
        let known = members.get(subscription).and_then(Weak::upgrade);
        let member = match known.filter(|member| member.admit(reader, options.prefetch_count_max)) {
            Some(member) => member,
            None => {
                let member = Member::join(&self.shared, subscription, reader)?;
                member.admit(reader, options.prefetch_count_max);
                members.insert(subscription.clone(), Arc::downgrade(&member));
                member
            }
        };
        let consumer = Consumer::open(member, reader);
        let mut consumers = self.consumers.lock().unwrap_or_else(PoisonError::into_inner);
        consumers.retain(|known| known.strong_count() > 0);
        consumers.push(Arc::downgrade(&consumer));
        Ok(consumer)
    }
}

fn capability(options: &KafkaOptions) -> Capability {
    Capability {
        durability: match options.replica_count {
            Some(1) => Durability::Disk,
            _ => Durability::Replicated,
        },
        reach: Reach::Network,
        order: Order::PerKey,
        delay_max: None,
        nack_delay_max: Some(NACK_DELAY_MAX),
        lease: LeaseTerms { duration: None, extendable: false, total_max: None },
        receive_count: false,
        release_uncounted: false,
        dead_letters: true,
        groups: true,
        message_bytes_max: Some(options.message_bytes_max),
        publish_atomic: false,
        settle_confirmed: false,
        depth: Counting::Approximate,
        // Deleting records would take them from every group.
        purge: false,
    }
}

#[async_trait]
impl Bus for KafkaBus {
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
        self.shared.topics.declare(declarations).await
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
        if !self.shared.topics.has_group(subscription, "subscribe").await? {
            let text = "no such destination or group; declare it first";
            return Err(Error::new(ErrorKind::NotFound, "subscribe", text).with("subscription", subscription));
        }
        holder::claim(&self.shared, subscription).await?;
        let consumer = self.admit(subscription, options)?;
        let receiver = Arc::new(KafkaReceiver(consumer));
        // What comes at once after this is not missed for want of partitions.
        let _ = self.shared.seams.clock.timeout(JOIN_MAX, receiver.0.member.joined()).await;
        self.require_open("subscribe")?;
        if receiver.0.member.is_leaving()
            && let Some(refusal) = receiver.0.member.take_failure()
        {
            return Err(refusal);
        }
        Ok(receiver)
    }

    async fn depth(&self, subscription: &Subscription) -> Result<Depth> {
        self.require_open("depth")?;
        let topic = self.shared.topics.find(subscription.destination(), "depth").await?;
        let missing = || {
            let text = "no such destination or group; declare it first";
            Error::new(ErrorKind::NotFound, "depth", text).with("subscription", subscription)
        };
        let topic = topic.ok_or_else(missing)?;
        let positions = self.shared.topics.positions(subscription, topic).await?;
        let member = self.members().get(subscription).and_then(Weak::upgrade);
        let mut depth = Depth::default();
        let mut left_count = 0;
        let hand = member.as_ref().map(|member| member.hand());
        for (partition, position) in positions {
            let window = hand.as_ref().and_then(|hand| hand.window(partition));
            let watermark = window.and_then(crate::hand::Window::watermark).unwrap_or(position.committed);
            let settled_count = window.map_or(0, crate::hand::Window::settled_count);
            let beyond = usize::try_from(position.high - watermark).unwrap_or_default();
            left_count += beyond.saturating_sub(settled_count);
            depth.in_flight_count += hand.as_ref().map_or(0, |hand| hand.in_hand_count(partition));
        }
        depth.delayed_count = hand.as_ref().map_or(0, |hand| hand.delayed_count());
        depth.ready_count = left_count.saturating_sub(depth.in_flight_count + depth.delayed_count);
        Ok(depth)
    }

    async fn purge(&self, _: &Subscription) -> Result<()> {
        self.require_open("purge")?;
        let text = "Kafka deletes records for every group at once; let them expire, or consume them";
        Err(Error::new(ErrorKind::Unsupported, "purge", text))
    }

    async fn close(&self, deadline: Duration) -> Result<()> {
        let shared = &self.shared;
        shared.closing.cancel();
        let consumers = std::mem::take(&mut *self.consumers.lock().unwrap_or_else(PoisonError::into_inner));
        let consumers: Vec<Arc<Consumer>> = consumers.iter().filter_map(Weak::upgrade).collect();
        let mut members: Vec<Arc<Member>> = self.members().values().filter_map(Weak::upgrade).collect();
        // Those that another took the place of may still have something to commit.
        members.extend(consumers.iter().map(|consumer| Arc::clone(&consumer.member)));
        consumers.iter().for_each(|consumer| consumer.part());
        let publisher = Arc::clone(shared);
        let finishing = async {
            // Its own time-out ends a little earlier, so that it is told and not cut off.
            let flush = deadline.mul_f64(0.9);
            let flushed = shared.topics.blocking("close", move || publisher.publisher.close(flush)).await;
            for member in &members {
                member.ended().await;
            }
            flushed
        };
        let text = "the brokers did not answer in time; what was in hand comes again when the session ends";
        match shared.seams.clock.timeout(deadline, finishing).await {
            Some(Ok(())) => Ok(()),
            Some(Err(error)) if error.kind() == ErrorKind::Closed => Ok(()),
            Some(Err(error)) => Err(Error::new(ErrorKind::Timeout, "close", text).caused_by(error)),
            None => Err(Error::new(ErrorKind::Timeout, "close", text)),
        }
    }
}

impl Drop for KafkaBus {
    fn drop(&mut self) {
        self.shared.closing.cancel();
    }
}

impl fmt::Debug for KafkaBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaBus").field("options", &self.shared.options).finish_non_exhaustive()
    }
}
