//! One member of a consumer group: a thread that polls, and what it shares with the receivers.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bus::{Error, ErrorKind, Moment, Result, Subscription};
use rdkafka::TopicPartitionList;
use rdkafka::config::FromClientConfigAndContext as _;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::Message as _;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::hand::{Hand, Place};
use crate::lag::PartitionLag;
use crate::quarantine::Aside;
use crate::rebalance::Calls;
use crate::shared::Shared;
use crate::window::Window;
use crate::{connect, convert, error};

/// Between a settlement and its commit, at most.
const COMMIT_PAUSE: Duration = Duration::from_millis(200);
/// The thread looks after commits this often when nothing else wakes it.
const LOOK_PAUSE: Duration = Duration::from_millis(100);
/// Between attempts to send a dead letter.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// How long reading may rest because too much waits here, before partitions are paused: a pause
/// throws away what librdkafka has fetched, so a short rest is cheaper, and a long one would delay
/// rebalances.
const REST_MAX: Duration = Duration::from_millis(500);
/// Records taken from librdkafka in one go.
const POLL_COUNT_MAX: usize = 512;
/// Read and not handed out, beyond which partitions are paused; half of it goes on.
const FRESH_COUNT_MAX: usize = 4_096;
const FRESH_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What receivers, the polling thread and librdkafka's callbacks share.
pub(crate) struct Member {
    pub(crate) shared: Arc<Shared>,
    pub(crate) subscription: Subscription,
    hand: Mutex<Hand>,
    /// Something of a leaving partition was settled or given back.
    pub(crate) settled: Condvar,
    /// Something came, was settled or was lost.
    pub(crate) changed: Notify,
    /// Partitions were assigned for the first time.
    pub(crate) joined: CancellationToken,
    /// The thread has ended.
    ended: CancellationToken,
    bell: Bell,
    is_leaving: AtomicBool,
    waits_for_room: AtomicBool,
    failure: Mutex<Option<Error>>,
    aside: Mutex<Vec<Aside>>,
}

/// Wakes the polling thread.
#[derive(Default)]
struct Bell {
    is_rung: Mutex<bool>,
    rung: Condvar,
}

impl Bell {
    fn ring(&self) {
        *self.is_rung.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.rung.notify_one();
    }

    fn wait(&self, span: Duration) {
        let is_rung = self.is_rung.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.rung.wait_timeout_while(is_rung, span, |is_rung| !*is_rung);
        *waited.unwrap_or_else(PoisonError::into_inner).0 = false;
    }
}

impl Member {
    /// Joins the group with a thread of its own. `number` tells this member's tokens from those of
    /// others on the same bus.
    pub(crate) fn join(shared: &Arc<Shared>, subscription: &Subscription, number: u64) -> Result<Arc<Self>> {
        let member = Arc::new(Self {
            shared: Arc::clone(shared),
            subscription: subscription.clone(),
            hand: Mutex::new(Hand::with_tokens_of(number)),
            settled: Condvar::new(),
            changed: Notify::new(),
            joined: CancellationToken::new(),
            ended: CancellationToken::new(),
            bell: Bell::default(),
            is_leaving: AtomicBool::new(false),
            waits_for_room: AtomicBool::new(false),
            failure: Mutex::default(),
            aside: Mutex::default(),
        });
        let config = connect::consumer(&shared.options, &subscription.to_string());
        let consumer = BaseConsumer::from_config_and_context(&config, Calls(Arc::clone(&member)));
        let mut consumer = consumer.map_err(|failure| error::told(&failure, "subscribe"))?;
        let rung = Arc::downgrade(&member);
        consumer.set_nonempty_callback(move || {
            if let Some(member) = rung.upgrade() {
                member.bell.ring();
            }
        });
        let topic = subscription.destination().as_str();
        consumer.subscribe(&[topic]).map_err(|failure| error::told(&failure, "subscribe"))?;
        let polled = Arc::clone(&member);
        // Named, unlike those of `thread::spawn`. Polling blocks, runs the rebalance callbacks, which
        // wait for what is in hand, and must go on whatever the runtime does (max.poll.interval).
        let thread = std::thread::Builder::new().name(format!("kafka-{topic}"));
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
        if self.waits_for_room.load(Ordering::Relaxed) && has_room(&self.hand()) {
            self.bell.ring();
        }
    }

    /// Something left a hand: others may have room, or get what was held back.
    pub(crate) fn moved(&self) {
        self.settled.notify_all();
        self.changed.notify_waiters();
        self.moved_out();
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

    /// How far each partition of this member is.
    pub(crate) fn lag(&self) -> Vec<PartitionLag> {
        let now = self.now();
        let hand = self.hand();
        let lag = |(partition, window): (i32, &Window)| PartitionLag {
            group: self.subscription.to_string(),
            partition,
            watermark: window.watermark(),
            window_count: window.count(),
            settled_count: window.settled_count(),
            watermark_age: window.oldest_read_at().map_or(Duration::ZERO, |then| now.since(then)),
        };
        hand.windows().map(lag).collect()
    }

    fn poll_until_leaving(self: &Arc<Self>, consumer: BaseConsumer<Calls>) {
        let mut paused = BTreeSet::new();
        let mut commit_at = self.now();
        let mut full_since = None;
        while !self.is_leaving.load(Ordering::Acquire) {
            let now = self.now();
            let is_full = is_full(&self.hand());
            let since = *full_since.get_or_insert(now);
            if !is_full {
                full_since = None;
            }
            let is_resting = is_full && paused.is_empty() && now.since(since) < REST_MAX;
            self.waits_for_room.store(is_full || !paused.is_empty(), Ordering::Relaxed);
            let is_idle = is_resting || self.read(&consumer) == 0;
            self.bury_aside();
            if !is_resting {
                self.hold_back(&consumer, &mut paused, is_full);
            }
            if now >= commit_at {
                commit_at = now + COMMIT_PAUSE;
                self.commit(&consumer, &self.positions(&mut self.hand(), None), CommitMode::Async);
            }
            if is_idle {
                self.bell.wait(LOOK_PAUSE);
            }
        }
        let last = {
            let mut hand = self.hand();
            let last = self.positions(&mut hand, None);
            let partitions: Vec<i32> = hand.windows().map(|(partition, _)| partition).collect();
            partitions.into_iter().for_each(|partition| hand.forget(partition));
            last
        };
        self.commit(&consumer, &last, CommitMode::Sync);
        // Leaves the group, and serves its last callbacks meanwhile.
        drop(consumer);
    }

    /// Takes what librdkafka has, a bounded number at a time, and answers how many that were.
    fn read(self: &Arc<Self>, consumer: &BaseConsumer<Calls>) -> usize {
        let mut records: Vec<(Place, convert::Read)> = Vec::new();
        let mut bytes = 0;
        let mut empty_count = 0;
        // A poll that served a callback answers nothing as well: only the second one means empty.
        while records.len() < POLL_COUNT_MAX && bytes < FRESH_BYTES_MAX / 4 && empty_count < 2 {
            match consumer.poll(Duration::ZERO) {
                Some(Ok(record)) => {
                    bytes += record.payload_len();
                    records.push(((record.partition(), record.offset()), convert::read(&record)));
                }
                Some(Err(failure)) => self.failed(&failure),
                None => empty_count += 1,
            }
        }
        if records.is_empty() {
            return 0;
        }
        self.shared.traffic.answered();
        let (count, now) = (records.len(), self.now());
        let mut unreadable = Vec::new();
        {
            let mut hand = self.hand();
            for (place, convert::Read { message, fault }) in records {
                let is_new = hand.add(place, message.clone(), fault.is_some(), now);
                if let Some(fault) = fault.filter(|_| is_new) {
                    unreadable.push((place, message, fault));
                }
            }
        }
        for (place, message, fault) in unreadable {
            self.set_aside(self.unreadable(place, message, &fault, Arc::downgrade(self)));
        }
        self.changed.notify_waiters();
        count
    }

    /// Pauses partitions while too much waits here, and lets them go on later.
    fn hold_back(&self, consumer: &BaseConsumer<Calls>, paused: &mut BTreeSet<i32>, is_full: bool) {
        let window_count_max = self.shared.options.window_count_max;
        let (pause, resume) = {
            let hand = self.hand();
            let has_room = has_room(&hand);
            paused.retain(|partition| hand.window(*partition).is_some());
            let mut pause = Vec::new();
            let mut resume = Vec::new();
            for (partition, window) in hand.windows() {
                let is_paused = paused.contains(&partition);
                if !is_paused && (is_full || window.count() >= window_count_max) {
                    pause.push(partition);
                } else if is_paused && has_room && window.count() <= window_count_max / 4 * 3 {
                    resume.push(partition);
                }
            }
            (pause, resume)
        };
        let topic = self.subscription.destination().as_str();
        let list = |partitions: &[i32]| {
            let mut list = TopicPartitionList::new();
            for partition in partitions {
                list.add_partition(topic, *partition);
            }
            list
        };
        if !pause.is_empty() && consumer.pause(&list(&pause)).is_ok() {
            paused.extend(pause);
        }
        if !resume.is_empty() && consumer.resume(&list(&resume)).is_ok() {
            resume.iter().for_each(|partition| {
                paused.remove(partition);
            });
        }
    }
}

fn is_full(hand: &Hand) -> bool {
    let (count, bytes) = hand.fresh();
    count >= FRESH_COUNT_MAX || bytes >= FRESH_BYTES_MAX
}

fn has_room(hand: &Hand) -> bool {
    let (count, bytes) = hand.fresh();
    count <= FRESH_COUNT_MAX / 2 && bytes <= FRESH_BYTES_MAX / 2
}
