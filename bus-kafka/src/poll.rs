//! The thread of a member: it polls, whatever happens, and stops reading while too much waits here.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bus::{Message, Moment};
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::message::{BorrowedMessage, Message as _};

use crate::convert;
use crate::hand::{Partition, Place, When};
use crate::holder::NextLook;
use crate::label::Labels;
use crate::member::Member;
use crate::rebalance::Calls;
use crate::record::{Copier, Record};

/// Between a settlement and its commit, at most.
const COMMIT_PAUSE: Duration = Duration::from_millis(200);
/// The thread looks after commits this often when nothing else wakes it.
const LOOK_PAUSE: Duration = Duration::from_millis(100);
/// How long reading may rest because too much waits here, before partitions are paused: a pause
/// throws away what librdkafka has fetched, so a short rest is cheaper, and a long one would delay
/// rebalances.
const REST_MAX: Duration = Duration::from_millis(500);
/// Records taken from librdkafka in one go.
const POLL_COUNT_MAX: usize = 512;
const POLL_BYTES_MAX: usize = 4 * 1024 * 1024;

impl Member {
    pub(crate) fn poll_until_leaving(self: &Arc<Self>, consumer: BaseConsumer<Calls>) {
        let (mut copier, mut records) = (Copier::default(), Vec::with_capacity(POLL_COUNT_MAX));
        let mut paused = BTreeSet::new();
        let mut commit_at = self.now();
        let mut next_look = NextLook::after(commit_at);
        let mut full_since = None;
        while !self.is_leaving.load(Ordering::Acquire) {
            let now = self.now();
            let is_full = self.hand().is_full();
            let since = *full_since.get_or_insert(now);
            if !is_full {
                full_since = None;
            }
            let is_resting = is_full && paused.is_empty() && now.since(since) < REST_MAX;
            self.waits_for_room.store(is_full || !paused.is_empty(), Ordering::Relaxed);
            let is_idle = is_resting || self.read(&consumer, &mut copier, &mut records) == 0;
            self.bury_aside();
            if !is_resting {
                self.hold_back(&consumer, &mut paused, is_full);
            }
            next_look.take(self, &consumer, now);
            if now >= commit_at {
                commit_at = now + COMMIT_PAUSE;
                // A statement of its own: the hand is not held while that is sent.
                let positions = self.positions(&mut self.hand(), None);
                self.commit(&consumer, &positions, CommitMode::Async);
            }
            if is_idle {
                self.bell.wait(LOOK_PAUSE);
            }
        }
        let last = {
            let mut hand = self.hand();
            let last = self.positions(&mut hand, None);
            let partitions: Vec<Partition> = hand.windows().map(|(partition, _)| partition).collect();
            partitions.into_iter().for_each(|partition| hand.forget(partition));
            last
        };
        // Receivers are still there when the member was refused.
        self.lost.notify_waiters();
        self.commit(&consumer, &last, CommitMode::Sync);
        // Leaves the group, and serves its last callbacks meanwhile.
        drop(consumer);
    }

    /// Takes what librdkafka has, a bounded number at a time, and answers how many that were.
    fn read(
        self: &Arc<Self>,
        consumer: &BaseConsumer<Calls>,
        copier: &mut Copier,
        records: &mut Vec<(Place, Record)>,
    ) -> usize {
        let mut bytes = 0;
        let mut empty_count = 0;
        let count_max = POLL_COUNT_MAX.min(self.plan.window_count_max);
        while records.len() < count_max && bytes < POLL_BYTES_MAX && empty_count < 2 {
            match consumer.poll(Duration::ZERO) {
                Some(Ok(record)) => {
                    bytes += record.payload_len();
                    let Some(partition) = self.partition_of(&record) else { continue };
                    records.push(((partition, record.offset()), copier.copy(&record)));
                }
                Some(Err(failure)) => self.failed(&failure),
                // It may have taken a partition away: what came before that is not to be mixed with
                // what comes after the partition has come back.
                None if !records.is_empty() => break,
                // A poll that served a callback answers nothing as well: only the second one means empty.
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
            for (place, record) in records.drain(..) {
                let (when, raw) = self.look_at(&record, place, now);
                if hand.add(place, record, when, now)
                    && let Some((message, fault)) = raw
                {
                    unreadable.push((place, message, fault));
                }
            }
        }
        for (place, message, fault) in unreadable {
            self.quarantine(place, message, &fault, &self.subscription);
        }
        self.changed.notify_waiters();
        count
    }

    /// A member that reads one topic need not look which.
    fn partition_of(&self, record: &BorrowedMessage<'_>) -> Option<Partition> {
        match self.plan.topics.len() {
            1 => Some(Partition { topic: 0, number: record.partition() }),
            _ => self.partition(record.topic(), record.partition()),
        }
    }

    /// When a record may be handed out, and what is set aside of it because nothing can be made of it.
    fn look_at(&self, record: &Record, place: Place, now: Moment) -> (When, Option<(Message, String)>) {
        if !self.plan.is_forwarding {
            let raw = convert::unreadable(record, &self.origin(place));
            return (if raw.is_some() { When::Never } else { When::Now }, raw);
        }
        match Labels::of(record).delay.filter(|_| record.is_whole()) {
            Some(delay) => {
                let early = delay.ready_at().saturating_sub(self.shared.seams.clock.wall().as_millisecond());
                (When::At(now + Duration::from_millis(u64::try_from(early).unwrap_or_default())), None)
            }
            None => {
                let text = "nothing in front of its headers says for what and for how long it waits";
                (When::Never, Some((convert::raw(record, &self.origin(place)), text.to_owned())))
            }
        }
    }

    /// Pauses partitions while too much waits here, and lets them go on later.
    fn hold_back(&self, consumer: &BaseConsumer<Calls>, paused: &mut BTreeSet<Partition>, is_full: bool) {
        let (count_max, bytes_max) = (self.plan.window_count_max, self.plan.window_bytes_max);
        let (pause, resume) = {
            let hand = self.hand();
            let has_room = hand.has_room();
            paused.retain(|partition| hand.window(*partition).is_some());
            let mut pause = Vec::new();
            let mut resume = Vec::new();
            for (partition, window) in hand.windows() {
                let is_paused = paused.contains(&partition);
                if !is_paused && (is_full || window.count() >= count_max || window.bytes() >= bytes_max) {
                    pause.push(partition);
                } else if is_paused
                    && has_room
                    && window.count() <= count_max / 4 * 3
                    && window.bytes() <= bytes_max / 4 * 3
                {
                    resume.push(partition);
                }
            }
            (pause, resume)
        };
        let list = |partitions: &[Partition]| {
            let mut list = TopicPartitionList::new();
            for partition in partitions {
                list.add_partition(self.topic(partition.topic).as_str(), partition.number);
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
