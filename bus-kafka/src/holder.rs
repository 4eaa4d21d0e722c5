//! One holder per group: who keeps the effects of what its members receive.
//!
//! A message that comes again takes effect once where both deliveries meet in one store. So members of
//! a group that keep their effects in different stores cannot promise it, and nobody else could notice.
//! The option `holder` names the store; it travels in the client id, which the group shows for every
//! member, also to `kafka-consumer-groups --members`. Whoever becomes a member looks at the others
//! before it takes anything, where they can be seen, and leaves when one of them has another holder.
//! librdkafka asks every broker for its groups, so while one is down the others cannot be seen: then a
//! member warns, stays and looks again.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bus::{Error, ErrorKind, Moment, Result, Subscription};
use rdkafka::Offset;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::groups::{GroupInfo, GroupMemberInfo};
use rdkafka::topic_partition_list::TopicPartitionListElem;
use tracing::{error, info, warn};

use crate::desk::{ANSWER_MAX, Tools};
use crate::member::Member;
use crate::rebalance::Calls;
use crate::shared::Shared;
use crate::{error, offsets, topology};

const CLIENT: &str = "bus-kafka";
/// A member that could not see the others looks again so often.
const NEXT_LOOK_PAUSE: Duration = Duration::from_secs(5);
/// How long such a second look may keep the polling thread.
const LOOK_MAX: Duration = Duration::from_secs(1);

/// What a client of this crate is called by the brokers.
pub(crate) fn client_id(holder: Option<&str>) -> String {
    holder.map_or_else(|| CLIENT.to_owned(), |holder| format!("{CLIENT}.{holder}"))
}

/// Whether a text can be a holder's name.
pub(crate) fn is_legal(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

/// The holders of a group's members, and how many members there are.
struct Seen {
    holders: BTreeSet<String>,
    member_count: usize,
}

fn look<C: ConsumerContext>(client: &BaseConsumer<C>, group: &str, max: Duration) -> Result<Seen, KafkaError> {
    let list = client.fetch_group_list(Some(group), max)?;
    let found = list.groups().iter().filter(|found| found.name() == group);
    Ok(Seen::of(found.flat_map(GroupInfo::members).map(GroupMemberInfo::client_id)))
}

impl Seen {
    fn of<'a>(client_ids: impl Iterator<Item = &'a str>) -> Self {
        let mut seen = Self { holders: BTreeSet::new(), member_count: 0 };
        for id in client_ids {
            seen.member_count += 1;
            seen.holders.extend(id.strip_prefix(CLIENT).and_then(|rest| rest.strip_prefix('.')).map(ToOwned::to_owned));
        }
        seen
    }
}

fn refused(seen: &Seen, subscription: &Subscription, own: &str, session: Duration) -> Option<Error> {
    let other = seen.holders.iter().find(|holder| *holder != own)?;
    let text = format!(
        "a live member of this group keeps its effects in another store, and an effect is single in one store only; \
         stop that member (the group forgets a killed one after {session:?}), or run this one on its store"
    );
    let error = Error::new(ErrorKind::Conflict, "subscribe", text).with("group", subscription);
    Some(error.with("store", own).with("other_store", other))
}

/// Asks, before a group is joined, whether it may be: a live group is not to be disturbed. Tells when it
/// has no member, and its offsets are not of this store alone: then what was done about its earlier messages
/// may be known to another one.
///
/// What cannot be seen here is looked at again by the member.
pub(crate) async fn claim(shared: &Shared, subscription: &Subscription) -> Result<()> {
    let Some(own) = shared.options.holder.clone() else { return Ok(()) };
    let group = subscription.to_string();
    let asked = shared.topics.desk.ask("subscribe", move |tools| look(&tools.asking, &group, ANSWER_MAX)).await;
    let seen = match asked {
        Ok(seen) => seen,
        Err(error) if error.kind() == ErrorKind::Closed => return Err(error),
        Err(error) => {
            warn!(%error, group = %subscription, "the members of the group cannot be seen; joining, and looking again");
            return Ok(());
        }
    };
    if let Some(refusal) = refused(&seen, subscription, &own, shared.options.session) {
        return Err(refusal);
    }
    if seen.member_count == 0 {
        match committed(shared, subscription, &own).await {
            Ok(offsets) if offsets.is_empty() => {}
            Ok(offsets) => info!(event = "group_taken_over", group = %subscription, store = own, offsets,
                "taking over a group without members: should another store have had it, this one knows nothing of what \
                 that did before these offsets"),
            Err(error) => warn!(%error, group = %subscription, store = own,
                "joining a group without members whose offsets cannot be read"),
        }
    }
    Ok(())
}

/// The offsets of a group that were committed by others than `own`, or by nobody who was named, as text:
/// `partition:offset` each.
async fn committed(shared: &Shared, subscription: &Subscription, own: &str) -> Result<String> {
    let Some(topic) = shared.topics.find(subscription.destination(), "subscribe").await? else {
        return Ok(String::new());
    };
    let (group, name, own) = (subscription.to_string(), subscription.destination().to_string(), own.to_owned());
    let asked = move |tools: &Tools| {
        let found = tools.in_group(&group)?.committed_offsets(topology::all(&name, topic), ANSWER_MAX)?;
        let place = |element: TopicPartitionListElem<'_>| match element.offset() {
            Offset::Offset(offset) => {
                let is_own = offsets::read(offset, element.metadata()).holder.is_some_and(|holder| holder == own);
                (!is_own).then(|| format!("{}:{offset}", element.partition()))
            }
            _ => None,
        };
        Ok(found.elements().into_iter().filter_map(place).collect::<Vec<_>>().join(" "))
    };
    shared.topics.desk.ask("subscribe", asked).await
}

impl Member {
    /// Looks whether this member, new in its group, may stay; on the polling thread, before it takes
    /// anything. `false`: it is leaving.
    pub(crate) fn may_stay(&self, consumer: &BaseConsumer<Calls>, max: Duration) -> bool {
        let Some(own) = self.holder() else { return true };
        if !self.is_new.load(Ordering::Relaxed) {
            return true;
        }
        let seen = match look(consumer, &self.subscription.to_string(), max) {
            // A broker that does not know of us does not know of others.
            Ok(seen) if seen.holders.contains(own) => seen,
            Ok(_) => return self.unseen(&KafkaError::GroupListFetch(Code::CoordinatorNotAvailable)),
            Err(failure) => return self.unseen(&failure),
        };
        self.is_new.store(false, Ordering::Relaxed);
        match refused(&seen, &self.subscription, own, self.shared.options.session) {
            None => true,
            Some(refusal) => {
                error!(error = %refusal, "leaving the group");
                self.refuse(refusal);
                false
            }
        }
    }

    /// Who keeps its effects; sending on has none.
    pub(crate) fn holder(&self) -> Option<&str> {
        self.shared.options.holder.as_deref().filter(|_| !self.plan.is_forwarding)
    }

    fn unseen(&self, failure: &KafkaError) -> bool {
        let error = error::told(failure, "subscribe").with("group", &self.subscription);
        warn!(%error, "the members of the group cannot be seen: one with another store may be among them; looking again");
        true
    }
}

/// When a member that could not see the others looks again.
pub(crate) struct NextLook(Moment);

impl NextLook {
    pub(crate) fn after(now: Moment) -> Self {
        Self(now + NEXT_LOOK_PAUSE)
    }

    /// One that has partitions and has not seen the others owes the look.
    pub(crate) fn take(&mut self, member: &Member, consumer: &BaseConsumer<Calls>, now: Moment) {
        if now < self.0 {
            return;
        }
        *self = Self::after(now);
        if member.is_new.load(Ordering::Relaxed) && member.hand().windows().next().is_some() {
            member.may_stay(consumer, LOOK_MAX);
        }
    }
}

#[cfg(test)]
mod tests {
    use bus::Destination;

    use super::*;

    #[test]
    fn a_group_takes_members_of_one_holder_and_those_that_name_none() {
        let subscription = Subscription::to(Destination::new("orders").expect("legal"));
        let (own, other) = (client_id(Some("store-1")), client_id(Some("store-2")));
        for (ids, is_refused) in [
            (&[][..], false),
            (&[own.as_str(), own.as_str()], false),
            (&[own.as_str(), "bus-kafka", "rdkafka", "bus-kafkaesque.x"], false),
            (&[own.as_str(), other.as_str()], true),
        ] {
            let seen = Seen::of(ids.iter().copied());
            assert_eq!(seen.member_count, ids.len());
            let refusal = refused(&seen, &subscription, "store-1", Duration::from_secs(10));
            assert_eq!(refusal.is_some(), is_refused, "{ids:?}");
            if let Some(refusal) = refusal {
                let text = refusal.to_string();
                assert_eq!(refusal.kind(), ErrorKind::Conflict);
                assert!(text.contains("store=store-1") && text.contains("other_store=store-2"), "{text}");
            }
        }
    }
}
