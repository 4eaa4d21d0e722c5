//! Broken promises about who receives what.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bus::layer::{Layer, ReceiverLayer, layered_receiver};
use bus::{
    Bus, ClockExt, Declaration, Delivery, Group, Lease, Message, Receiver, Result, Seams, SubscribeOptions,
    Subscription, Token,
};
use bus_memory::MemoryOptions;

use crate::breakage::Breakage;
use crate::forged::{Nobody, forged};
use crate::layers::{Receivers, Subscribes};

breakages! {
    a_subscriber_that_begins_with_what_comes_next breaks a_late_subscriber_gets_what_waits
        by Breakage::by(|| PurgesFirst);
    a_receiver_that_is_not_woken breaks a_waiting_receiver_wakes_when_something_comes
        by Breakage::timed(|seams| {
            let seams = seams.clone();
            Receivers(move || LooksOnce(seams.clone()))
        });
    more_handed_out_than_asked_for breaks receive_appends_at_least_one_and_at_most_as_many_as_asked_for
        by Breakage::by(|| Receivers(|| Generous));
    earlier_deliveries_thrown_out breaks receive_appends_at_least_one_and_at_most_as_many_as_asked_for
        by Breakage::by(|| Receivers(|| ClearsFirst));
    prefetch_ignored breaks prefetch_bounds_what_a_receiver_holds
        by Breakage::by(|| Subscribes(|_, options| options.prefetch_count_max = 1_000));
    a_settlement_that_makes_no_room breaks prefetch_bounds_what_a_receiver_holds
        by Breakage::by(|| Receivers(Prefetched::default));
    competing_receivers_both_get_it breaks competing_receivers_share_and_none_gets_what_another_has
        by Breakage::by(Broadcasts::default);
    a_cancelled_receive_that_keeps_what_it_found breaks a_receive_cancelled_at_any_time_loses_nothing
        by Breakage::by(|| Receivers(|| KeepsWhenCancelled));
    a_subscription_that_creates breaks what_was_not_declared_cannot_be_subscribed_to
        by Breakage::by(|| DeclaresFirst);
    a_group_that_is_created breaks an_unknown_group_cannot_be_subscribed_to
        by Breakage::by(|| DeclaresFirst);
    a_prefetch_of_nothing_accepted breaks a_subscription_that_can_hold_nothing_is_invalid
        by Breakage::by(|| Subscribes(|_, options| options.prefetch_count_max = options.prefetch_count_max.max(1)));
    a_lease_of_nothing_accepted breaks a_lease_of_no_time_is_invalid
        by Breakage::by(|| Subscribes(|_, options| options.lease = options.lease.filter(|lease| !lease.is_zero())));
    everything_on_one_destination breaks destinations_are_isolated
        by Breakage::by(RemembersTheFirst::default);
    groups_that_share breaks every_group_gets_every_message
        by Breakage::by(|| Subscribes(|subscription, _| {
            *subscription = Subscription::to(subscription.destination().clone());
        }));
    groups_accepted_where_there_are_none breaks groups_are_refused_where_there_are_none
        by Breakage::unlayered().under(MemoryOptions { groups: false, ..MemoryOptions::default() })
            .around(MemoryOptions::default()).claiming(|capability| capability.groups = false);
}

#[derive(Debug)]
struct PurgesFirst;

#[async_trait]
impl Layer for PurgesFirst {
    async fn subscribe(
        &self,
        subscription: &Subscription,
        options: SubscribeOptions,
        next: &dyn Bus,
    ) -> Result<Arc<dyn Receiver>> {
        next.purge(subscription).await?;
        next.subscribe(subscription, options).await
    }
}

#[derive(Debug)]
pub(crate) struct DeclaresFirst;

#[async_trait]
impl Layer for DeclaresFirst {
    async fn subscribe(
        &self,
        subscription: &Subscription,
        options: SubscribeOptions,
        next: &dyn Bus,
    ) -> Result<Arc<dyn Receiver>> {
        let groups: Vec<Group> = subscription.group().cloned().into_iter().collect();
        next.declare(&[Declaration { destination: subscription.destination().clone(), groups }]).await?;
        next.subscribe(subscription, options).await
    }
}

/// Subscribes everybody to what was subscribed to first.
#[derive(Debug, Default)]
struct RemembersTheFirst(Mutex<Option<Subscription>>);

#[async_trait]
impl Layer for RemembersTheFirst {
    async fn subscribe(
        &self,
        subscription: &Subscription,
        options: SubscribeOptions,
        next: &dyn Bus,
    ) -> Result<Arc<dyn Receiver>> {
        let first = self.0.lock().expect("no panic").get_or_insert(subscription.clone()).clone();
        next.subscribe(&first, options).await
    }
}

/// Sees what is there when it is called, and nothing later.
struct LooksOnce(Seams);

#[async_trait]
impl ReceiverLayer for LooksOnce {
    async fn receive(&self, max: usize, into: &mut Vec<Delivery>, next: &dyn Receiver) -> Result<()> {
        match self.0.clock.timeout(Duration::ZERO, next.receive(max, into)).await {
            Some(answer) => answer,
            None => std::future::pending().await,
        }
    }
}

struct Generous;

#[async_trait]
impl ReceiverLayer for Generous {
    async fn receive(&self, max: usize, into: &mut Vec<Delivery>, next: &dyn Receiver) -> Result<()> {
        next.receive(max + 1, into).await
    }
}

struct ClearsFirst;

#[async_trait]
impl ReceiverLayer for ClearsFirst {
    async fn receive(&self, max: usize, into: &mut Vec<Delivery>, next: &dyn Receiver) -> Result<()> {
        into.clear();
        next.receive(max, into).await
    }
}

/// Counts what it handed out and never what was settled: two are all it ever gives.
#[derive(Default)]
struct Prefetched(Mutex<usize>);

#[async_trait]
impl ReceiverLayer for Prefetched {
    async fn receive(&self, max: usize, into: &mut Vec<Delivery>, next: &dyn Receiver) -> Result<()> {
        let room = 2 - *self.0.lock().expect("no panic");
        if room == 0 {
            return std::future::pending().await;
        }
        let before = into.len();
        next.receive(max.min(room), into).await?;
        *self.0.lock().expect("no panic") += into.len() - before;
        Ok(())
    }
}

/// Drops what it found when the call is dropped in between, and tells nobody.
struct KeepsWhenCancelled;

#[async_trait]
impl ReceiverLayer for KeepsWhenCancelled {
    async fn receive(&self, max: usize, into: &mut Vec<Delivery>, next: &dyn Receiver) -> Result<()> {
        let mut received = Vec::new();
        next.receive(max, &mut received).await?;
        let mut received: Vec<Delivery> =
            received.into_iter().map(|delivery| forged(delivery, |forgery| forgery.returns = false)).collect();
        tokio::task::yield_now().await;
        into.append(&mut received);
        Ok(())
    }
}

/// Hands a copy of everything to every receiver.
#[derive(Debug, Default)]
struct Broadcasts(Arc<Mutex<Vec<Message>>>);

#[async_trait]
impl Layer for Broadcasts {
    async fn subscribe(
        &self,
        subscription: &Subscription,
        options: SubscribeOptions,
        next: &dyn Bus,
    ) -> Result<Arc<dyn Receiver>> {
        let receiver = next.subscribe(subscription, options).await?;
        Ok(layered_receiver(receiver, Copied { all: Arc::clone(&self.0), seen_count: Mutex::default() }))
    }
}

struct Copied {
    all: Arc<Mutex<Vec<Message>>>,
    seen_count: Mutex<usize>,
}

impl Copied {
    /// Copies of what others received since the last look.
    fn copies(&self) -> Vec<Delivery> {
        let all = self.all.lock().expect("no panic");
        let seen_count = std::mem::replace(&mut *self.seen_count.lock().expect("no panic"), all.len());
        let copy = |message: &Message| {
            let token = Token { slot: u64::MAX, epoch: u64::MAX };
            Delivery::new(message.clone(), token, Lease { deadline: None }, None, Arc::new(Nobody))
        };
        all[seen_count..].iter().map(copy).collect()
    }
}

#[async_trait]
impl ReceiverLayer for Copied {
    async fn receive(&self, max: usize, into: &mut Vec<Delivery>, next: &dyn Receiver) -> Result<()> {
        let mut copies = self.copies();
        if !copies.is_empty() {
            into.append(&mut copies);
            return Ok(());
        }
        let before = into.len();
        next.receive(max, into).await?;
        let messages = into[before..].iter().map(|delivery| delivery.message().clone());
        self.all.lock().expect("no panic").extend(messages);
        let _ = self.copies();
        Ok(())
    }
}
