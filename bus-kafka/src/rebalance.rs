//! Commits, and partitions that come and go: librdkafka's callbacks on the thread that polls.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::topic_partition_list::TopicPartitionListElem;
use rdkafka::{ClientContext, Offset, TopicPartitionList};
use tracing::{info, warn};

use crate::desk::ANSWER_MAX;
use crate::hand::{Hand, Partition, Window};
use crate::member::Member;
use crate::{desk, error, offsets};

/// How long the question what earlier members have settled may take.
const COMMITTED_MAX: Duration = Duration::from_secs(5);

impl Member {
    /// What is to be committed, of some partitions or of all that changed.
    pub(crate) fn positions(&self, hand: &mut Hand, of: Option<&BTreeSet<Partition>>) -> TopicPartitionList {
        let partition_count = self.partition_count();
        let mut list = TopicPartitionList::new();
        for (partition, window) in hand.cleaned(of) {
            if let Some(watermark) = window.watermark() {
                let mut element = list.add_partition(self.topic(partition.topic).as_str(), partition.number);
                // An offset of a window is one of the broker's.
                let _ = element.set_offset(Offset::Offset(watermark));
                // The number is told of the destination's own topic.
                let partition_count = partition_count.filter(|_| partition.topic == 0);
                element.set_metadata(offsets::write(partition_count, self.holder(), watermark, window.settled()));
            }
        }
        list
    }

    pub(crate) fn commit(&self, consumer: &BaseConsumer<Calls>, positions: &TopicPartitionList, mode: CommitMode) {
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
        for partition in self.partitions_of(positions) {
            hand.soil(partition);
        }
    }

    fn partitions_of(&self, list: &TopicPartitionList) -> BTreeSet<Partition> {
        let partition = |element: &TopicPartitionListElem<'_>| self.partition(element.topic(), element.partition());
        list.elements().iter().filter_map(partition).collect()
    }

    /// For the log, by topic.
    fn told<'a>(&'a self, partitions: &BTreeSet<Partition>) -> BTreeMap<&'a str, Vec<i32>> {
        let mut told: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
        for partition in partitions {
            told.entry(self.topic(partition.topic).as_str()).or_default().push(partition.number);
        }
        told
    }

    fn assigned(&self, consumer: &BaseConsumer<Calls>, list: &TopicPartitionList) {
        let partitions = self.partitions_of(list);
        info!(subscription = %self.subscription, partitions = ?self.told(&partitions), "assigned");
        if !self.may_stay(consumer, ANSWER_MAX) {
            return;
        }
        if partitions.is_empty() && self.hand().windows().next().is_none() {
            // Nothing tells a member without partitions that the group went on without it: it looks again.
            self.is_new.store(true, Ordering::Relaxed);
        }
        let mut left = BTreeMap::new();
        if !partitions.is_empty() {
            match consumer.committed_offsets(list.clone(), COMMITTED_MAX) {
                Ok(committed) => {
                    for element in committed.elements() {
                        if let Offset::Offset(watermark) = element.offset()
                            && let Some(partition) = self.partition(element.topic(), element.partition())
                        {
                            left.insert(partition, offsets::read(watermark, element.metadata()));
                        }
                    }
                    self.sign(consumer, &committed);
                }
                Err(failure) => {
                    let error = error::told(&failure, "subscribe");
                    warn!(%error, subscription = %self.subscription, "what was settled beyond the watermark comes again");
                }
            }
        }
        if !partitions.is_empty() && !self.plan.is_forwarding {
            self.compare_partitions(consumer, left.values().filter_map(|left| left.partition_count).max());
        }
        let mut hand = self.hand();
        for partition in partitions {
            // Should it have been ours already, unnoticed, then what was in hand of it is lost.
            hand.assign(partition, Window::after(left.remove(&partition).unwrap_or_default().settled));
        }
        drop(hand);
        self.lost.notify_waiters();
    }

    /// Puts the name of our holder to offsets that are not in it, so that the next one of the same is none that
    /// takes over.
    fn sign(&self, consumer: &BaseConsumer<Calls>, committed: &TopicPartitionList) {
        let Some(holder) = self.holder() else { return };
        let mut list = TopicPartitionList::new();
        for element in committed.elements() {
            let Offset::Offset(watermark) = element.offset() else { continue };
            let left = offsets::read(watermark, element.metadata());
            if left.holder.as_deref() != Some(holder) {
                let settled = left.settled.into_iter().flatten();
                let text = offsets::write(left.partition_count, Some(holder), watermark, settled);
                let mut signed = list.add_partition(element.topic(), element.partition());
                // The offset is one of the broker's.
                let _ = signed.set_offset(Offset::Offset(watermark));
                signed.set_metadata(text);
            }
        }
        self.commit(consumer, &list, CommitMode::Async);
    }

    /// Tells when the topic has other partitions than at the last commit, or than this member knew.
    fn compare_partitions(&self, consumer: &BaseConsumer<Calls>, committed: Option<i32>) {
        let topic = self.subscription.destination().as_str();
        let Ok(metadata) = consumer.fetch_metadata(Some(topic), COMMITTED_MAX) else { return };
        let found = metadata.topics().iter().find(|found| found.name() == topic);
        let Some(count) = found.and_then(|found| i32::try_from(found.partitions().len()).ok()) else { return };
        let before = self.know_partition_count(count).max(committed);
        if count > 0
            && let Some(before) = before.filter(|before| *before != count)
        {
            warn!(
                subscription = %self.subscription, before, count,
                "the topic's number of partitions was changed: its keys have moved, so messages of one key sent before \
                 and after that may be handled out of order, or at the same time, until all of before is settled"
            );
        }
    }

    fn revoked(&self, consumer: &BaseConsumer<Calls>, list: &TopicPartitionList) {
        let partitions = self.partitions_of(list);
        let is_lost = consumer.assignment_lost();
        if is_lost {
            // The group went on without it: it comes back as a new member.
            self.is_new.store(true, Ordering::Relaxed);
        }
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
        self.lost.notify_waiters();
        info!(subscription = %self.subscription, partitions = ?self.told(&partitions), is_lost, "revoked");
        if !is_lost {
            self.commit(consumer, &positions, CommitMode::Sync);
        }
    }
}

/// librdkafka's callbacks, on the thread that polls.
pub(crate) struct Calls(pub(crate) Arc<Member>);

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
            Err(KafkaError::ConsumerCommit(RDKafkaErrorCode::NoOffset)) => {}
            Err(failure) => self.0.not_committed(&failure, offsets),
        }
    }
}
