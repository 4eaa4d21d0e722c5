//! One process's way to the broker.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bus::{
    Bus, BusState, Capability, Declaration, Depth, Error, ErrorKind, MessageKey, Outgoing, PublishOutcome, Receipt,
    Receiver, Result, SubscribeOptions, Subscription,
};

use super::Broker;
use super::receiver::ModelReceiver;
use super::state::State;

const OPEN: u8 = 0;
const CLOSED: u8 = 1;
const SEVERED: u8 = 2;

/// A connection: the [`Bus`] of one process.
#[derive(Debug)]
pub struct Connection {
    pub(super) broker: Arc<Broker>,
    number: u64,
    condition: Arc<Condition>,
}

/// Whether a connection is there, shared with its receivers.
#[derive(Debug)]
pub(super) struct Condition(AtomicU8);

impl Condition {
    pub(super) fn is_open(&self) -> bool {
        self.0.load(Ordering::Acquire) == OPEN
    }

    /// Its process is gone: nothing done through it has an effect any more.
    pub(super) fn is_severed(&self) -> bool {
        self.0.load(Ordering::Acquire) == SEVERED
    }

    pub(super) fn require_open(&self, operation: &'static str) -> Result<()> {
        if self.is_open() { Ok(()) } else { Err(Error::new(ErrorKind::Closed, operation, "the bus is closed")) }
    }
}

impl Connection {
    pub(super) fn new(broker: Arc<Broker>, number: u64) -> Self {
        Self { broker, number, condition: Arc::new(Condition(AtomicU8::new(OPEN))) }
    }

    /// Its process died. Nothing that is still dropped or called has an effect. A broker that holds a
    /// connection takes back what was out on it; the others wait for the leases to end.
    pub fn sever(&self) {
        self.condition.0.store(SEVERED, Ordering::Release);
        self.end_members(self.broker.semantics.is_bound_to_connection);
    }

    fn end_members(&self, takes_back: bool) {
        let now = self.broker.seams.clock.now();
        let mut state = self.broker.state();
        for queue in state.queues_mut() {
            let ours = queue.members.iter().filter(|(_, member)| member.connection == self.number);
            for number in ours.map(|(number, _)| *number).collect::<Vec<_>>() {
                if let Some(member) = queue.members.get_mut(&number) {
                    member.is_stopped = true;
                }
                if takes_back {
                    queue.take_back_from(number, now, &self.broker.semantics);
                }
                queue.moved.notify_waiters();
                queue.lost.notify_waiters();
            }
        }
    }

    fn accept(&self, state: &mut State, outgoing: &Outgoing, refused: &[MessageKey]) -> Result<()> {
        let (destination, message, delay) = (outgoing.destination(), outgoing.message(), outgoing.delay());
        let capability = &self.broker.semantics.capability;
        if message.key().is_some_and(|key| refused.contains(key)) {
            let text = "an earlier message of its key in the same batch was refused; publish both again, in order";
            return Err(Error::new(ErrorKind::Conflict, "publish", text).retryable(true));
        }
        if let Some(max) = capability.message_bytes_max.filter(|max| message.size_bytes() > *max) {
            let text = format!("the message has {} bytes, at most {max} are allowed", message.size_bytes());
            return Err(Error::new(ErrorKind::TooLarge, "publish", text));
        }
        if !delay.is_zero() && capability.delay_max.is_none_or(|max| delay > max) {
            let text = format!("a delay of {delay:?} is longer than this broker keeps");
            return Err(Error::new(ErrorKind::Unsupported, "publish", text));
        }
        if !state.is_declared(destination) {
            let text = "no such destination; declare it first";
            return Err(Error::new(ErrorKind::NotFound, "publish", text).with("destination", destination));
        }
        state.put(&self.broker, destination, message, delay);
        Ok(())
    }
}

fn unknown(subscription: &Subscription, operation: &'static str) -> Error {
    let text = "no such destination or group; declare it first";
    Error::new(ErrorKind::NotFound, operation, text).with("subscription", subscription)
}

#[async_trait]
impl Bus for Connection {
    fn capability(&self) -> &Capability {
        &self.broker.semantics.capability
    }

    fn state(&self) -> BusState {
        if self.condition.is_open() { BusState::Up } else { BusState::Down("the bus is closed".to_owned()) }
    }

    async fn declare(&self, declarations: &[Declaration]) -> Result<()> {
        self.condition.require_open("declare")?;
        self.broker.state().declare(declarations, &self.broker.semantics)
    }

    async fn publish(&self, batch: Vec<Outgoing>) -> Vec<PublishOutcome> {
        let mut state = self.broker.state();
        let mut refused: Vec<MessageKey> = Vec::new();
        let publish = |outgoing: Outgoing| {
            let accepted = self.condition.require_open("publish");
            match accepted.and_then(|()| self.accept(&mut state, &outgoing, &refused)) {
                Ok(()) => PublishOutcome::Accepted(Receipt::default()),
                Err(error) => {
                    refused.extend(outgoing.message().key().cloned());
                    PublishOutcome::Refused(error.with("message_id", outgoing.message().id()))
                }
            }
        };
        batch.into_iter().map(publish).collect()
    }

    async fn subscribe(&self, subscription: &Subscription, options: SubscribeOptions) -> Result<Arc<dyn Receiver>> {
        self.condition.require_open("subscribe")?;
        if options.prefetch_count_max == 0 || options.lease.is_some_and(|lease| lease.is_zero()) {
            let text = "a receiver that can hold nothing, or for no time, receives nothing";
            return Err(Error::new(ErrorKind::Invalid, "subscribe", text));
        }
        let mut state = self.broker.state();
        let number = state.next_number();
        let lease = self.broker.semantics.capability.lease.duration;
        let queue = state.queue_mut(subscription).ok_or_else(|| unknown(subscription, "subscribe"))?;
        queue.subscribe(number, self.number, options, lease);
        let (moved, lost) = (Arc::clone(&queue.moved), Arc::clone(&queue.lost));
        drop(state);
        let condition = Arc::clone(&self.condition);
        Ok(Arc::new(ModelReceiver::new(Arc::clone(&self.broker), subscription.clone(), number, condition, moved, lost)))
    }

    async fn depth(&self, subscription: &Subscription) -> Result<Depth> {
        self.condition.require_open("depth")?;
        let now = self.broker.seams.clock.now();
        let state = self.broker.state();
        state.queue(subscription).map(|queue| queue.depth(now)).ok_or_else(|| unknown(subscription, "depth"))
    }

    async fn purge(&self, subscription: &Subscription) -> Result<()> {
        self.condition.require_open("purge")?;
        if !self.broker.semantics.capability.purge {
            let text = "this broker cannot empty one subscription; receive and acknowledge instead";
            return Err(Error::new(ErrorKind::Unsupported, "purge", text));
        }
        let mut state = self.broker.state();
        let queue = state.queue_mut(subscription).ok_or_else(|| unknown(subscription, "purge"))?;
        queue.purge();
        Ok(())
    }

    async fn close(&self, _deadline: Duration) -> Result<()> {
        let was_open = self.condition.0.compare_exchange(OPEN, CLOSED, Ordering::AcqRel, Ordering::Acquire).is_ok();
        if was_open {
            self.end_members(true);
        }
        Ok(())
    }
}
