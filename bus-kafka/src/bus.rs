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
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

use crate::config::KafkaOptions;
use crate::consumer::{Consumer, KafkaReceiver};
use crate::delay::forwarder::Forwarder;
use crate::depth;
use crate::desk::Desk;
use crate::holder;
use crate::lag::PartitionLag;
use crate::member::Member;
use crate::plan::Plan;
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
    /// Of a bus with delays, once it has declared or subscribed.
    forwarder: OnceCell<Forwarder>,
}

impl KafkaBus {
    /// Makes the clients. Nothing is asked of the brokers before it is needed.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) for retry topics without delay topics, and a scope that makes no legal
    /// names; [`Unexpected`](ErrorKind::Unexpected) when librdkafka cannot make a client.
    pub fn open(options: KafkaOptions, seams: Seams) -> Result<Arc<Self>> {
        options.check_retries()?;
        let traffic = Arc::new(Traffic::default());
        let desk = Desk::open(&options, Arc::clone(&traffic))?;
        let topics = Topics::open(&options, seams.clone(), desk)?;
        let publisher = Publisher::open(&options, seams.clone(), Arc::clone(&traffic))?;
        let capability = capability(&options);
        let shared = Arc::new(Shared { options, seams, traffic, topics, publisher, closing: CancellationToken::new() });
        let (members, consumers) = (Mutex::default(), Mutex::default());
        let (last_reader, forwarder) = (AtomicU64::new(0), OnceCell::new());
        Ok(Arc::new(Self { shared, capability, members, consumers, last_reader, forwarder }))
    }

    /// How far the members of this bus are, by group, topic and partition; from memory, for metrics. What this
    /// bus has read of the delay topics is in the window of the group `__bus-delay`.
    #[must_use]
    pub fn lag(&self) -> Vec<PartitionLag> {
        let members: Vec<Arc<Member>> = self.members().values().filter_map(Weak::upgrade).collect();
        let forwarding = self.forwarder.get().map(Forwarder::member);
        members.iter().chain(forwarding).flat_map(|member| member.lag()).collect()
    }

    fn members(&self) -> MutexGuard<'_, BTreeMap<Subscription, Weak<Member>>> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn require_open(&self, operation: &'static str) -> Result<()> {
        if self.shared.closing.is_cancelled() { Err(closed(operation)) } else { Ok(()) }
    }

    /// Takes its share in sending on what has waited, where messages are delayed.
    async fn forward(&self) -> Result<()> {
        if !self.shared.options.delay_topics {
            return Ok(());
        }
        self.shared.topics.make_delays().await?;
        self.forwarder.get_or_try_init(|| async { Forwarder::start(&self.shared) }).await.map(drop)
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
                let member = Member::join(&self.shared, Plan::of(subscription, &self.shared.options), reader)?;
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
        // What is retried through topics is overtaken by what follows of its key.
        order: if options.retry_topics { Order::None } else { Order::PerKey },
        delay_max: options.delay_max(),
        nack_delay_max: Some(options.nack_delay_max()),
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
        self.shared.topics.declare(declarations).await?;
        self.forward().await
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
        self.forward().await?;
        self.shared.topics.make_retries(subscription).await?;
        let consumer = self.admit(subscription, options)?;
        let receiver = Arc::new(KafkaReceiver(consumer));
        // What comes at once after this is not missed for want of partitions, and what is due is not late.
        let joined = async {
            receiver.0.member.joined().await;
            if let Some(forwarder) = self.forwarder.get() {
                forwarder.member().joined().await;
            }
        };
        let _ = self.shared.seams.clock.timeout(JOIN_MAX, joined).await;
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
        let member = self.members().get(subscription).and_then(Weak::upgrade);
        depth::depth(&self.shared, member.as_deref(), subscription).await
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
        let forwarded = async {
            if let Some(forwarder) = self.forwarder.get() {
                forwarder.stop().await;
            }
        };
        let finishing = async {
            // Its own time-out ends a little earlier, so that it is told and not cut off.
            let flush = deadline.mul_f64(0.9);
            let flushing = shared.topics.blocking("close", move || publisher.publisher.close(flush));
            let (flushed, ()) = tokio::join!(flushing, forwarded);
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
