//! Sends on what has waited: a member of the group that all buses with delays are in.
//!
//! Copy, confirmed, then let the offset pass: interrupted in between, the message comes twice and is
//! not lost. The member, its window, its lanes and its rebalances are those of every subscription.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bus::{Error, ErrorKind, PublishOutcome, Result, Subscription, Token};
use rdkafka::admin::AdminOptions;
use rdkafka::topic_partition_list::TopicPartitionListElem;
use rdkafka::{Offset, TopicPartitionList};
use tokio::task::JoinSet;
use tracing::warn;

use crate::consumer::Consumer;
use crate::error;
use crate::hand::{Out, Partition, Place, Window};
use crate::label::{Delay, Labels};
use crate::member::Member;
use crate::parcel::Parcel;
use crate::plan::Plan;
use crate::record::Record;
use crate::shared::Shared;

/// Most that is sent on in one go.
const BATCH_COUNT_MAX: usize = 1_000;
/// Before what was not accepted is sent again.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// Between removals of what was sent on, at least.
const REMOVAL_PAUSE: Duration = Duration::from_secs(60);
/// How long a removal may take.
const REMOVAL_MAX: Duration = Duration::from_secs(2);

/// The only receiver of its member, and the task that sends on.
pub(crate) struct Forwarder {
    consumer: Arc<Consumer>,
    sending: Mutex<JoinSet<()>>,
}

impl Forwarder {
    /// Joins the group. The topics must exist. Needs a runtime.
    pub(crate) fn start(shared: &Arc<Shared>) -> Result<Self> {
        let member = Member::join(shared, Plan::forwarder(&shared.topics.delays), 0)?;
        member.admit(0, BATCH_COUNT_MAX);
        let consumer = Consumer::open(member, 0);
        let mut sending = JoinSet::new();
        sending.spawn(run(Arc::clone(&consumer)));
        Ok(Self { consumer, sending: Mutex::new(sending) })
    }

    pub(crate) fn member(&self) -> &Arc<Member> {
        &self.consumer.member
    }

    /// Lets what is under way be confirmed, leaves the group, and waits until it was left.
    pub(crate) async fn stop(&self) {
        self.consumer.stop_now();
        let mut sending = std::mem::take(&mut *self.sending.lock().unwrap_or_else(PoisonError::into_inner));
        while sending.join_next().await.is_some() {}
        self.consumer.part();
        self.consumer.member.ended().await;
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.consumer.part();
    }
}

async fn run(consumer: Arc<Consumer>) {
    let member = &consumer.member;
    let clock = &member.shared.seams.clock;
    let mut remove_at = member.now() + REMOVAL_PAUSE;
    let mut removed = BTreeMap::new();
    loop {
        // Made before the look, so that nothing between the look and the wait is missed.
        let changed = member.changed.notified();
        if consumer.is_stopped() || member.is_leaving() {
            break;
        }
        let now = member.now();
        let out = member.hand().hand_out(consumer.reader, BATCH_COUNT_MAX, now);
        member.moved_out();
        if !out.is_empty() {
            send_on(&consumer, out).await;
            if now >= remove_at {
                remove_at = now + REMOVAL_PAUSE;
                remove(member, &mut removed).await;
            }
            continue;
        }
        let due = member.hand().next_due();
        tokio::select! {
            biased;
            () = changed => {}
            () = member.shared.closing.cancelled() => {}
            () = clock.sleep_until(due.unwrap_or_default()), if due.is_some() => {}
        }
    }
    remove(member, &mut removed).await;
}

/// What was in hand, and what becomes of it.
struct Going {
    token: Token,
    place: Place,
    delay: Delay,
}

async fn send_on(consumer: &Consumer, out: Vec<Out>) {
    let (member, shared) = (&consumer.member, &consumer.member.shared);
    let (mut going, mut parcels) = (Vec::with_capacity(out.len()), Vec::with_capacity(out.len()));
    for Out { token, place, record } in out {
        let labels = Labels::of(&record);
        // One without was set aside when it was read.
        let Some(delay) = labels.delay else { continue };
        let early = delay.ready_at().saturating_sub(shared.seams.clock.wall().as_millisecond());
        if let Ok(early) = u64::try_from(early)
            && early > 0
        {
            // Calendar time was set back since it was read.
            let due = member.now() + Duration::from_millis(early);
            member.hand().give_back(consumer.reader, token, Some(due));
            continue;
        }
        match next(shared, &delay, record).await {
            Ok(parcel) => {
                going.push(Going { token, place, delay });
                parcels.push(parcel);
            }
            Err(error) => not_sent(consumer, &Going { token, place, delay }, &error),
        }
    }
    let outcomes: VecDeque<PublishOutcome> = shared.publisher.publish(parcels).await.into();
    for (going, outcome) in going.into_iter().zip(outcomes) {
        match outcome {
            PublishOutcome::Accepted(_) => {
                member.hand().settle(consumer.reader, going.token);
            }
            PublishOutcome::Refused(error) | PublishOutcome::Unknown(error) => not_sent(consumer, &going, &error),
        }
    }
    member.moved();
}

/// The next hop, or the last one.
async fn next(shared: &Shared, delay: &Delay, record: Record) -> Result<Parcel> {
    if delay.left > 0 {
        return Ok(shared.topics.delays.next(delay, |topic| Parcel::copy(topic, record, 1)));
    }
    match shared.topics.find(&delay.to, "publish").await? {
        Some(_) => Ok(Parcel::copy(delay.to.clone(), record, 1)),
        None => Err(Error::new(ErrorKind::NotFound, "publish", "its destination is gone")),
    }
}

/// A clear no for good goes to the dead letters, anything else is tried again, with its key behind it.
fn not_sent(consumer: &Consumer, going: &Going, error: &Error) {
    let member = &consumer.member;
    if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::TooLarge | ErrorKind::Invalid) {
        let Some(message) = member.message_at(going.place) else { return };
        if member.hand().set_aside(consumer.reader, going.token).is_some() {
            let fault = format!("it was due and could not be sent to {}: {error}", going.delay.to);
            member.quarantine(going.place, message, &fault, &Subscription::to(going.delay.to.clone()));
        }
    } else {
        warn!(%error, to = %going.delay.to, "what is due was not accepted; trying again");
        let due = member.now() + RETRY_PAUSE;
        member.hand().give_back(consumer.reader, going.token, Some(due));
    }
    member.moved();
}

/// Removes what was sent on for good: these topics keep what nobody removes.
async fn remove(member: &Member, removed: &mut BTreeMap<Partition, i64>) {
    let shared = &member.shared;
    if !shared.options.admin || shared.traffic.is_troubled() {
        return;
    }
    let passed: Vec<(Partition, i64)> = {
        let hand = member.hand();
        let watermark = |(partition, window): (Partition, &Window)| Some((partition, window.watermark()?));
        let is_new = |(partition, watermark): &(Partition, i64)| removed.get(partition) != Some(watermark);
        hand.windows().filter_map(watermark).filter(is_new).collect()
    };
    if passed.is_empty() {
        return;
    }
    let mut list = TopicPartitionList::new();
    for (partition, watermark) in &passed {
        let topic = member.topic(partition.topic).as_str();
        // An offset of a window is one of the broker's.
        let _ = list.add_partition_offset(topic, partition.number, Offset::Offset(*watermark));
    }
    let options = AdminOptions::new().request_timeout(Some(REMOVAL_MAX));
    let answer = shared.topics.admin.delete_records(&list, &options).await;
    let answer = answer.and_then(|list| list.elements().iter().try_for_each(TopicPartitionListElem::error));
    match answer {
        Ok(()) => removed.extend(passed),
        Err(failure) => {
            let error = error::told(&failure, "delay");
            warn!(%error, "what was sent on stays in the delay topics for now");
        }
    }
}
