//! One consumer of one queue.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bus::{
    Delivery, Error, ErrorKind, ExtendOutcome, Lease, Moment, Receiver, Result, Returns, SettleOutcome, Settlement,
    Subscription, Token, Unsettled,
};
use tokio::sync::Notify;

use super::Broker;
use super::connection::Condition;
use super::queue::HandOut;

/// The receiver handed to consumers. Dropped, it gives back what it has, unless its process died.
pub(super) struct ModelReceiver {
    seat: Arc<Seat>,
    moved: Arc<Notify>,
    lost: Arc<Notify>,
}

/// A member of a queue, as its deliveries know it.
struct Seat {
    broker: Arc<Broker>,
    subscription: Subscription,
    number: u64,
    condition: Arc<Condition>,
}

impl Returns for Seat {
    fn give_back(&self, token: Token) {
        if self.condition.is_severed() {
            return;
        }
        let now = self.broker.seams.clock.now();
        if let Some(queue) = self.broker.state().queue_mut(&self.subscription)
            && let Some(place) = queue.find(self.number, token)
        {
            queue.give_back(place, now);
        }
    }
}

/// What a receiver that asks is told.
enum Asked {
    Gets(Vec<HandOut>),
    Waits(Option<Moment>),
    Ends,
}

impl ModelReceiver {
    pub(super) fn new(
        broker: Arc<Broker>,
        subscription: Subscription,
        number: u64,
        condition: Arc<Condition>,
        moved: Arc<Notify>,
        lost: Arc<Notify>,
    ) -> Self {
        Self { seat: Arc::new(Seat { broker, subscription, number, condition }), moved, lost }
    }

    fn ask(&self, max: usize) -> Asked {
        let Seat { broker, subscription, number, condition } = &*self.seat;
        let now = broker.seams.clock.now();
        let mut state = broker.state();
        let Some(queue) = state.queue_mut(subscription) else { return Asked::Ends };
        if !condition.is_open() || queue.members.get(number).is_none_or(|member| member.is_stopped) {
            return Asked::Ends;
        }
        if let Some(until) = broker.interference.stalled_until(subscription.destination(), now) {
            return Asked::Waits(Some(until));
        }
        let out = queue.hand_out(*number, max, now, &broker.semantics, broker.interference.as_ref());
        if out.is_empty() { Asked::Waits(queue.next_change(now)) } else { Asked::Gets(out) }
    }

    async fn sleep_until(&self, moment: Option<Moment>) {
        match moment {
            Some(moment) => self.seat.broker.seams.clock.sleep_until(moment).await,
            None => std::future::pending().await,
        }
    }

    fn delivery(&self, out: HandOut) -> Delivery {
        let receive_count = self.seat.broker.semantics.capability.receive_count.then_some(out.receive_count);
        let lease = Lease { deadline: out.deadline };
        Delivery::new(out.message, out.token, lease, receive_count, Arc::clone(&self.seat) as _)
    }

    /// The leases lost since the last call, or when to look again.
    fn take_lost(&self) -> Result<Vec<Token>, Option<Moment>> {
        let Seat { broker, subscription, number, .. } = &*self.seat;
        let now = broker.seams.clock.now();
        let mut state = broker.state();
        let Some(queue) = state.queue_mut(subscription) else { return Err(None) };
        queue.expire(now);
        let Some(member) = queue.members.get_mut(number) else { return Err(None) };
        let lost = std::mem::take(&mut member.lost);
        if !lost.is_empty() {
            return Ok(lost);
        }
        let deadlines = member.held.clone().into_iter();
        Err(deadlines.filter_map(|place| queue.entries.get(&place)?.hold?.deadline).min())
    }
}

#[async_trait]
impl Receiver for ModelReceiver {
    async fn receive(&self, max: usize, into: &mut Vec<Delivery>) -> Result<()> {
        loop {
            let mut moved = pin!(self.moved.notified());
            moved.as_mut().enable();
            match self.ask(max) {
                Asked::Gets(out) => {
                    into.extend(out.into_iter().map(|out| self.delivery(out)));
                    return Ok(());
                }
                Asked::Ends => return Err(Error::new(ErrorKind::Closed, "receive", "the receiver was stopped")),
                Asked::Waits(until) => tokio::select! {
                    biased;
                    () = moved => {}
                    () = self.sleep_until(until) => {}
                },
            }
        }
    }

    async fn settle(&self, batch: Vec<Settlement>) -> Vec<SettleOutcome> {
        let Seat { broker, subscription, number, .. } = &*self.seat;
        let mut state = broker.state();
        batch.into_iter().map(|settlement| broker.settle(&mut state, subscription, *number, settlement)).collect()
    }

    async fn extend(&self, tokens: &[Token], by: Duration) -> Vec<ExtendOutcome> {
        let Seat { broker, subscription, number, .. } = &*self.seat;
        let mut state = broker.state();
        let Some(queue) = state.queue_mut(subscription) else { return Vec::new() };
        tokens.iter().map(|token| broker.extend(queue, *number, *token, by)).collect()
    }

    async fn release(&self, unstarted: Vec<Unsettled>) {
        let Seat { broker, subscription, number, .. } = &*self.seat;
        let now = broker.seams.clock.now();
        let mut state = broker.state();
        let Some(queue) = state.queue_mut(subscription) else { return };
        for token in unstarted.into_iter().map(Unsettled::discharge) {
            if let Some(place) = queue.find(*number, token) {
                queue.give_back(place, now);
            }
        }
    }

    async fn lost(&self) -> Vec<Token> {
        loop {
            let mut told = pin!(self.lost.notified());
            told.as_mut().enable();
            match self.take_lost() {
                Ok(lost) => return lost,
                Err(until) => tokio::select! {
                    biased;
                    () = told => {}
                    () = self.sleep_until(until) => {}
                },
            }
        }
    }

    fn stop(&self) {
        let Seat { broker, subscription, number, .. } = &*self.seat;
        if let Some(queue) = broker.state().queue_mut(subscription)
            && let Some(member) = queue.members.get_mut(number)
        {
            member.is_stopped = true;
            queue.moved.notify_waiters();
        }
    }

    async fn close(&self) {
        self.stop();
        let Seat { broker, subscription, number, .. } = &*self.seat;
        let now = broker.seams.clock.now();
        if let Some(queue) = broker.state().queue_mut(subscription) {
            queue.take_back_from(*number, now, &broker.semantics);
        }
    }
}

impl Drop for ModelReceiver {
    fn drop(&mut self) {
        if self.seat.condition.is_severed() {
            return;
        }
        let Seat { broker, subscription, number, .. } = &*self.seat;
        let now = broker.seams.clock.now();
        if let Some(queue) = broker.state().queue_mut(subscription) {
            queue.unsubscribe(*number, now, &broker.semantics);
        }
    }
}
