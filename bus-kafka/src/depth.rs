//! How many messages of a subscription are where.
//!
//! What waits in the delay topics is not known by its destination without reading all of it: it is counted
//! together, as the depth of their common name.

use std::collections::BTreeMap;

use bus::{Depth, Destination, Error, ErrorKind, Result, Subscription};

use crate::hand::{Hand, Partition, Window};
use crate::member::Member;
use crate::plan::Plan;
use crate::shared::Shared;
use crate::topology::Positions;

/// Positions of the group in each partition, and what a member of this bus knows better.
pub(crate) async fn depth(shared: &Shared, member: Option<&Member>, subscription: &Subscription) -> Result<Depth> {
    if shared.options.delay_topics && *subscription == Subscription::to(shared.topics.delays.all.clone()) {
        return delayed(shared, subscription).await;
    }
    if shared.topics.find(subscription.destination(), "depth").await?.is_none() {
        let text = "no such destination or group; declare it first";
        return Err(Error::new(ErrorKind::NotFound, "depth", text).with("subscription", subscription));
    }
    let mut found = BTreeMap::new();
    for (place, topic) in (0..).zip(Plan::of(subscription, &shared.options).topics) {
        for (number, position) in positions(shared, subscription, &topic).await?.unwrap_or_default() {
            found.insert(Partition { topic: place, number }, position);
        }
    }
    let mut depth = Depth::default();
    let mut left_count = 0;
    let hand = member.map(Member::hand);
    for (partition, position) in found {
        let window = hand.as_ref().and_then(|hand| hand.window(partition));
        let watermark = window.and_then(Window::watermark).unwrap_or(position.committed);
        let settled_count = window.map_or(0, Window::settled_count);
        left_count += usize::try_from(position.high - watermark).unwrap_or_default().saturating_sub(settled_count);
        depth.in_flight_count += hand.as_ref().map_or(0, |hand| hand.in_hand_count(partition));
    }
    depth.delayed_count = hand.as_deref().map_or(0, Hand::delayed_count);
    depth.ready_count = left_count.saturating_sub(depth.in_flight_count + depth.delayed_count);
    Ok(depth)
}

/// What waits in all delay topics, a message on its way from one to the next counted twice.
async fn delayed(shared: &Shared, forwarding: &Subscription) -> Result<Depth> {
    let mut delayed_count = 0;
    for topic in &shared.topics.delays.topics {
        let positions = positions(shared, forwarding, topic).await?.unwrap_or_default();
        delayed_count += positions.values().map(|position| position.high - position.committed).sum::<i64>();
    }
    let delayed_count = usize::try_from(delayed_count).unwrap_or_default();
    Ok(Depth { delayed_count, ..Depth::default() })
}

async fn positions(
    shared: &Shared,
    subscription: &Subscription,
    topic: &Destination,
) -> Result<Option<BTreeMap<i32, Positions>>> {
    match shared.topics.find(topic, "depth").await? {
        Some(found) => shared.topics.positions(subscription.to_string(), topic.to_string(), found).await.map(Some),
        None => Ok(None),
    }
}
