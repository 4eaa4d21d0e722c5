//! One member of a consumer group: a thread that polls, and what it shares with the receivers.

use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bus::{Destination, Error, ErrorKind, Message, Moment, Result, Subscription};
use rdkafka::config::FromClientConfigAndContext as _;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::convert::Origin;
use crate::hand::{Hand, Partition, Place, Window};
use crate::lag::PartitionLag;
use crate::names::Names;
use crate::plan::Plan;
use crate::quarantine::Aside;
use crate::rebalance::Calls;
use crate::shared::Shared;
use crate::{connect, convert, error};

/// Between attempts to send a dead letter.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// What receivers, the polling thread and librdkafka's callbacks share.
pub(crate) struct Member {
    pub(crate) shared: Arc<Shared>,
    pub(crate) subscription: Subscription,
    pub(crate) plan: Plan,
    hand: Mutex<Hand>,
    /// Something of a leaving partition was settled or given back.
    pub(crate) settled: Condvar,
    /// Something came, was settled, or receiving has ended.
    pub(crate) changed: Notify,
    /// Something in a hand was lost. Who waits for that is not woken by every batch.
    pub(crate) lost: Notify,
    /// Partitions were assigned for the first time.
    pub(crate) joined: CancellationToken,
    /// The thread has ended.
    ended: CancellationToken,
    pub(crate) bell: Bell,
    pub(crate) is_leaving: AtomicBool,
    /// It has not seen the other members since it became one.
    pub(crate) is_new: AtomicBool,
    pub(crate) waits_for_room: AtomicBool,
    /// Partitions of the topic when some of them were last assigned; 0 before.
    partition_count: AtomicI32,
    failure: Mutex<Option<Error>>,
    aside: Mutex<Vec<Aside>>,
}

/// Wakes the polling thread.
#[derive(Default)]
pub(crate) struct Bell {
    is_rung: Mutex<bool>,
    rung: Condvar,
}

impl Bell {
    pub(crate) fn ring(&self) {
        *self.is_rung.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.rung.notify_one();
    }

    pub(crate) fn wait(&self, span: Duration) {
        let is_rung = self.is_rung.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.rung.wait_timeout_while(is_rung, span, |is_rung| !*is_rung);
        *waited.unwrap_or_else(PoisonError::into_inner).0 = false;
    }
}

impl Member {
    /// Joins the group with a thread of its own. `number` tells this member's tokens from those of
    /// others on the same bus.
    pub(crate) fn join(shared: &Arc<Shared>, plan: Plan, number: u64) -> Result<Arc<Self>> {
        let member = Arc::new(Self {
            shared: Arc::clone(shared),
            subscription: plan.subscription.clone(),
            plan,
            hand: Mutex::new(Hand::with_tokens_of(number)),
            settled: Condvar::new(),
            changed: Notify::new(),
            lost: Notify::new(),
            joined: CancellationToken::new(),
            ended: CancellationToken::new(),
            bell: Bell::default(),
            is_leaving: AtomicBool::new(false),
            is_new: AtomicBool::new(true),
            waits_for_room: AtomicBool::new(false),
            partition_count: AtomicI32::new(0),
            failure: Mutex::default(),
            aside: Mutex::default(),
        });
        let config = match member.plan.is_forwarding {
            true => connect::forwarder(&shared.options, &member.subscription.to_string()),
            false => connect::consumer(&shared.options, &member.subscription.to_string()),
        };
        let consumer = BaseConsumer::from_config_and_context(&config, Calls(Arc::clone(&member)));
        let mut consumer = consumer.map_err(|failure| error::told(&failure, "subscribe"))?;
        let rung = Arc::downgrade(&member);
        consumer.set_nonempty_callback(move || {
            if let Some(member) = rung.upgrade() {
                member.bell.ring();
            }
        });
        let topics: Vec<&str> = member.plan.topics.iter().map(Destination::as_str).collect();
        consumer.subscribe(&topics).map_err(|failure| error::told(&failure, "subscribe"))?;
        let polled = Arc::clone(&member);
        // Named, unlike those of `thread::spawn`. Polling blocks, runs the rebalance callbacks, which
        // wait for what is in hand, and must go on whatever the runtime does (max.poll.interval).
        let thread = std::thread::Builder::new().name(format!("kafka-{}", member.subscription));
        let spawned = thread.spawn(move || {
            let _ended = polled.ended.clone().drop_guard();
            polled.poll_until_leaving(consumer);
        });
        spawned.map_err(|cause| {
            Error::new(ErrorKind::Unexpected, "subscribe", "no thread could be started").caused_by(cause)
        })?;
        Ok(member)
    }

    pub(crate) fn hand(&self) -> MutexGuard<'_, Hand> {
        self.hand.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn aside(&self) -> MutexGuard<'_, Vec<Aside>> {
        self.aside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_aside(&self, aside: Aside) {
        self.aside().push(aside);
    }

    /// A topic by its place among those this member reads.
    pub(crate) fn topic(&self, place: u16) -> &Destination {
        &self.plan.topics[usize::from(place)]
    }

    /// A partition by its topic's name. `None`: it is none of this member's.
    pub(crate) fn partition(&self, topic: &str, number: i32) -> Option<Partition> {
        let place = self.plan.topics.iter().position(|known| known.as_str() == topic)?;
        Some(Partition { topic: u16::try_from(place).ok()?, number })
    }

    /// Where a record was read.
    pub(crate) fn origin(&self, place: Place) -> Origin<'_> {
        // All but a subscription's own topic are topics of ours.
        let is_labelled = self.plan.is_forwarding || place.0.topic > 0;
        Origin { topic: self.topic(place.0.topic).as_str(), place, is_labelled }
    }

    /// The message of a record that is not settled.
    pub(crate) fn message_at(&self, place: Place) -> Option<Message> {
        let record = self.hand().window(place.0)?.record(place.1)?.clone();
        Some(convert::read(&record, &self.origin(place), &mut Names::default()).message)
    }

    pub(crate) fn now(&self) -> Moment {
        self.shared.seams.clock.now()
    }

    pub(crate) fn retry_at(&self) -> Moment {
        self.now() + RETRY_PAUSE
    }

    /// Resolves once partitions were assigned, or the member has ended.
    pub(crate) async fn joined(&self) {
        tokio::select! {
            biased;
            () = self.joined.cancelled() => {}
            () = self.ended.cancelled() => {}
        }
    }

    /// Resolves once the group was left and the last commit answered.
    pub(crate) async fn ended(&self) {
        self.ended.cancelled().await;
    }

    /// Adds a receiver, unless the member is leaving already.
    pub(crate) fn admit(&self, reader: u64, prefetch_count_max: usize) -> bool {
        let mut hand = self.hand();
        if self.is_leaving.load(Ordering::Acquire) {
            return false;
        }
        hand.join(reader, prefetch_count_max);
        true
    }

    /// Takes a receiver out; the last one takes the member with it. Answers what the receiver lost.
    pub(crate) fn part(&self, reader: u64) -> Vec<bus::Token> {
        let lost = {
            let mut hand = self.hand();
            let lost = hand.part(reader);
            if !hand.has_readers() {
                self.is_leaving.store(true, Ordering::Release);
            }
            lost
        };
        self.moved();
        self.bell.ring();
        lost
    }

    pub(crate) fn is_leaving(&self) -> bool {
        self.is_leaving.load(Ordering::Acquire)
    }

    /// Something was handed out: there is room to read more.
    pub(crate) fn moved_out(&self) {
        if self.waits_for_room.load(Ordering::Relaxed) && self.hand().has_room() {
            self.bell.ring();
        }
    }

    /// Something left a hand: others may have room, or get what was held back.
    pub(crate) fn moved(&self) {
        self.settled.notify_all();
        self.changed.notify_waiters();
        self.moved_out();
    }

    /// Leaves the group for good; the first receiver that asks is told why.
    pub(crate) fn refuse(&self, error: Error) {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        self.is_leaving.store(true, Ordering::Release);
        self.changed.notify_waiters();
    }

    pub(crate) fn take_failure(&self) -> Option<Error> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub(crate) fn failed(&self, failure: &KafkaError) {
        let error = error::told(failure, "receive").with("subscription", &self.subscription);
        match error.kind() {
            // librdkafka reconnects; who receives waits.
            ErrorKind::Unavailable | ErrorKind::Timeout => self.shared.traffic.troubled(&error),
            ErrorKind::LeaseLost => debug!(%error, "rejoining"),
            _ => {
                warn!(%error, "receiving failed");
                *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                self.changed.notify_waiters();
            }
        }
    }

    /// How many partitions the topic has, as far as this member has seen.
    pub(crate) fn partition_count(&self) -> Option<i32> {
        Some(self.partition_count.load(Ordering::Relaxed)).filter(|count| *count > 0)
    }

    /// Answers what was known before.
    pub(crate) fn know_partition_count(&self, count: i32) -> Option<i32> {
        Some(self.partition_count.swap(count, Ordering::Relaxed)).filter(|count| *count > 0)
    }

    /// How far each partition of this member is.
    pub(crate) fn lag(&self) -> Vec<PartitionLag> {
        let now = self.now();
        let hand = self.hand();
        let lag = |(partition, window): (Partition, &Window)| PartitionLag {
            group: self.subscription.to_string(),
            topic: self.topic(partition.topic).to_string(),
            partition: partition.number,
            watermark: window.watermark(),
            window_count: window.count(),
            settled_count: window.settled_count(),
            watermark_age: window.oldest_read_at().map_or(Duration::ZERO, |then| now.since(then)),
        };
        hand.windows().map(lag).collect()
    }
}
