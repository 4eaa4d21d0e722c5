//! One member of a consumer group: a thread that polls, and what it shares with the receivers.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bus::{Error, ErrorKind, Moment, Result, Subscription};
use rdkafka::config::{FromClientConfigAndContext as _, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::Message as _;
use rdkafka::topic_partition_list::TopicPartitionListElem;
use rdkafka::{ClientContext, Offset, TopicPartitionList};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::hand::{Hand, Place};
use crate::lag::PartitionLag;
use crate::quarantine::Aside;
use crate::shared::Shared;
use crate::window::Window;
use crate::{connect, convert, desk, error, offsets};

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
/// How long the last answers of a member may take.
const COMMITTED_MAX: Duration = Duration::from_secs(5);

/// What receivers, the polling thread and librdkafka's callbacks share.
pub(crate) struct Member {
    pub(crate) shared: Arc<Shared>,
    pub(crate) subscription: Subscription,
    hand: Mutex<Hand>,
    /// Something of a leaving partition was settled or given back.
    settled: Condvar,
    /// Something came, was settled or was lost.
    pub(crate) changed: Notify,
    /// Partitions were assigned for the first time.
    joined: CancellationToken,
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

    fn failed(&self, failure: &KafkaError) {
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

    /// What is to be committed, of some partitions or of all that changed.
    fn positions(&self, hand: &mut Hand, of: Option<&BTreeSet<i32>>) -> TopicPartitionList {
        let dirty = std::mem::take(&mut hand.dirty);
        let mut list = TopicPartitionList::new();
        for (partition, window) in hand.windows() {
            let is_asked = of.is_none_or(|of| of.contains(&partition));
            if let (true, true, Some(watermark)) = (is_asked, dirty.contains(&partition), window.watermark()) {
                let mut element = list.add_partition(self.subscription.destination().as_str(), partition);
                // An offset of a window is one of the broker's.
                let _ = element.set_offset(Offset::Offset(watermark));
                if window.settled_count() > 0 || window.has_earlier() {
                    element.set_metadata(offsets::write(watermark, window.settled()));
                }
            }
        }
        if let Some(of) = of {
            hand.dirty = dirty.into_iter().filter(|partition| !of.contains(partition)).collect();
        }
        list
    }

    fn commit(&self, consumer: &BaseConsumer<Calls>, positions: &TopicPartitionList, mode: CommitMode) {
        if positions.count() == 0 {
            return;
        }
        if let Err(failure) = consumer.commit(positions, mode) {
            self.not_committed(&failure, positions);
        }
    }

    /// The watermarks go with the next commit; of partitions that are gone the next owner gets again
    /// what they had passed.
    fn not_committed(&self, failure: &KafkaError, positions: &TopicPartitionList) {
        let error = error::told(failure, "commit").with("subscription", &self.subscription);
        warn!(%error, "offsets were not committed");
        let mut hand = self.hand();
        for element in positions.elements() {
            if hand.window(element.partition()).is_some() {
                hand.dirty.insert(element.partition());
            }
        }
    }

    fn assigned(&self, consumer: &BaseConsumer<Calls>, list: &TopicPartitionList) {
        let partitions: Vec<i32> = list.elements().iter().map(TopicPartitionListElem::partition).collect();
        info!(subscription = %self.subscription, ?partitions, "assigned");
        let mut settled_before = std::collections::BTreeMap::new();
        if !partitions.is_empty() {
            match consumer.committed_offsets(list.clone(), COMMITTED_MAX) {
                Ok(committed) => {
                    for element in committed.elements() {
                        if let Offset::Offset(watermark) = element.offset() {
                            settled_before.insert(element.partition(), offsets::read(watermark, element.metadata()));
                        }
                    }
                }
                Err(failure) => {
                    let error = error::told(&failure, "subscribe");
                    warn!(%error, subscription = %self.subscription, "what was settled beyond the watermark comes again");
                }
            }
        }
        let mut hand = self.hand();
        for partition in partitions {
            hand.assign(partition, Window::after(settled_before.remove(&partition).unwrap_or_default()));
        }
    }

    fn revoked(&self, consumer: &BaseConsumer<Calls>, list: &TopicPartitionList) {
        let partitions: BTreeSet<i32> = list.elements().iter().map(TopicPartitionListElem::partition).collect();
        let is_lost = consumer.assignment_lost();
        let positions = {
            let mut hand = self.hand();
            partitions.iter().for_each(|partition| hand.begin_to_leave(*partition));
            if !is_lost {
                let drain = self.shared.options.drain;
                let drained = self.settled.wait_timeout_while(hand, drain, |hand| hand.leaving_count() > 0);
                hand = drained.unwrap_or_else(PoisonError::into_inner).0;
            }
            // Fenced in one step with what is committed: no ack comes between.
            let positions = self.positions(&mut hand, Some(&partitions));
            partitions.iter().for_each(|partition| hand.forget(*partition));
            positions
        };
        self.aside().retain(|aside| !partitions.contains(&aside.place.0));
        self.changed.notify_waiters();
        info!(subscription = %self.subscription, ?partitions, is_lost, "revoked");
        if !is_lost {
            self.commit(consumer, &positions, CommitMode::Sync);
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

/// librdkafka's callbacks, on the thread that polls.
pub(crate) struct Calls(Arc<Member>);

impl ClientContext for Calls {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        desk::log(level, facility, message);
    }

    fn error(&self, failure: KafkaError, reason: &str) {
        desk::troubled(&self.0.shared.traffic, &failure, reason);
    }
}

impl ConsumerContext for Calls {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Assign(list) => self.0.assigned(consumer, list),
            Rebalance::Revoke(list) => self.0.revoked(consumer, list),
            Rebalance::Error(failure) => self.0.failed(failure),
        }
    }

    fn post_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Assign(list) = rebalance {
            // An earlier assignment may have been paused.
            let _ = consumer.resume(list);
            self.0.joined.cancel();
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, offsets: &TopicPartitionList) {
        match result {
            Ok(()) => self.0.shared.traffic.answered(),
            // Nothing was to be committed.
            Err(KafkaError::ConsumerCommit(rdkafka::error::RDKafkaErrorCode::NoOffset)) => {}
            Err(failure) => self.0.not_committed(&failure, offsets),
        }
    }
}
