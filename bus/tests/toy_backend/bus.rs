use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use bus::capability::{Counting, Durability, LeaseTerms, Order, Reach};
use bus::{
    Bus, BusState, Capability, Declaration, Depth, Error, ErrorKind, Outgoing, PublishOutcome, Receipt, Receiver,
    Result, Seams, SubscribeOptions, Subscription,
};

use super::broker::Broker;
use super::config::{DELAY_MAX, MESSAGE_BYTES_MAX, ToyOptions};
use super::consumer::ToyReceiver;
use super::convert::encode;
use super::error::{closed, invalid, told, unsupported};
use super::settle::Hand;

/// One connection.
#[derive(Debug)]
pub(crate) struct ToyBus {
    broker: Arc<Broker>,
    seams: Seams,
    options: ToyOptions,
    capability: Capability,
    receivers: Mutex<Vec<Weak<ToyReceiver>>>,
    is_closed: AtomicBool,
}

impl ToyBus {
    pub(crate) fn connect(broker: Arc<Broker>, seams: Seams, options: ToyOptions) -> Self {
        let capability = Capability {
            durability: Durability::Volatile,
            reach: Reach::Process,
            order: Order::None,
            delay_max: Some(DELAY_MAX),
            nack_delay_max: Some(DELAY_MAX),
            lease: LeaseTerms { duration: Some(options.lease), extendable: true, total_max: None },
            receive_count: true,
            release_uncounted: true,
            dead_letters: true,
            groups: false,
            message_bytes_max: Some(MESSAGE_BYTES_MAX),
            publish_atomic: false,
            settle_confirmed: true,
            depth: Counting::Exact,
            purge: true,
        };
        Self { broker, seams, options, capability, receivers: Mutex::default(), is_closed: AtomicBool::new(false) }
    }

    fn require_open(&self, operation: &'static str) -> Result<()> {
        if self.is_closed.load(Ordering::Acquire) { Err(closed(operation)) } else { Ok(()) }
    }

    fn publish_one(&self, outgoing: Outgoing) -> Result<Receipt> {
        self.require_open("publish")?;
        let (destination, message, delay) = outgoing.into_parts();
        let size_bytes = message.size_bytes();
        if size_bytes > MESSAGE_BYTES_MAX {
            let text = format!("the message has {size_bytes} bytes, at most {MESSAGE_BYTES_MAX} are taken");
            return Err(Error::new(ErrorKind::TooLarge, "publish", text).with("message_id", message.id()));
        }
        if delay > DELAY_MAX {
            return Err(unsupported("publish", format!("this bus delays by at most {DELAY_MAX:?}")));
        }
        let number = self.broker.put(destination.as_str(), encode(&message), delay);
        let number = number.map_err(|fault| told(&fault, "publish", &destination))?;
        Ok(Receipt { broker_id: Some(number.to_string().into()) })
    }

    /// Groups this bus has not; so whatever names one does not exist.
    fn queue<'a>(&self, subscription: &'a Subscription, operation: &'static str) -> Result<&'a str> {
        self.require_open(operation)?;
        match subscription.group() {
            None => Ok(subscription.destination().as_str()),
            Some(_) => Err(Error::new(ErrorKind::NotFound, operation, "this bus has no groups")),
        }
    }
}

#[async_trait]
impl Bus for ToyBus {
    fn capability(&self) -> &Capability {
        &self.capability
    }

    fn state(&self) -> BusState {
        if self.is_closed.load(Ordering::Acquire) { BusState::Down("closed".to_owned()) } else { BusState::Up }
    }

    async fn declare(&self, declarations: &[Declaration]) -> Result<()> {
        self.require_open("declare")?;
        if declarations.iter().any(|declaration| !declaration.groups.is_empty()) {
            return Err(unsupported("declare", "this bus has no groups"));
        }
        for Declaration { destination, .. } in declarations {
            self.broker.create(destination.as_str());
            self.broker.create(destination.dead_letters()?.as_str());
        }
        Ok(())
    }

    async fn publish(&self, batch: Vec<Outgoing>) -> Vec<PublishOutcome> {
        let publish = |outgoing| match self.publish_one(outgoing) {
            Ok(receipt) => PublishOutcome::Accepted(receipt),
            Err(error) => PublishOutcome::Refused(error),
        };
        batch.into_iter().map(publish).collect()
    }

    async fn subscribe(&self, subscription: &Subscription, options: SubscribeOptions) -> Result<Arc<dyn Receiver>> {
        let queue = self.queue(subscription, "subscribe")?;
        let lease = options.lease.unwrap_or(self.options.lease);
        if options.prefetch_count_max == 0 || lease.is_zero() {
            return Err(invalid("subscribe", "a prefetch of 0 or a lease of no time receives nothing"));
        }
        self.broker.depth(queue).map_err(|fault| told(&fault, "subscribe", subscription.destination()))?;
        let hand = Hand::new(Arc::clone(&self.broker), subscription.clone(), self.seams.clone());
        let receiver = Arc::new(ToyReceiver::new(hand, options, lease));
        let mut receivers = self.receivers.lock().unwrap_or_else(PoisonError::into_inner);
        receivers.retain(|receiver| receiver.strong_count() > 0);
        receivers.push(Arc::downgrade(&receiver));
        Ok(receiver)
    }

    async fn depth(&self, subscription: &Subscription) -> Result<Depth> {
        let depth = self.broker.depth(self.queue(subscription, "depth")?);
        depth.map_err(|fault| told(&fault, "depth", subscription.destination()))
    }

    async fn purge(&self, subscription: &Subscription) -> Result<()> {
        let purged = self.broker.purge(self.queue(subscription, "purge")?);
        purged.map_err(|fault| told(&fault, "purge", subscription.destination()))
    }

    async fn close(&self, _deadline: Duration) -> Result<()> {
        self.is_closed.store(true, Ordering::Release);
        let receivers = std::mem::take(&mut *self.receivers.lock().unwrap_or_else(PoisonError::into_inner));
        for receiver in receivers.iter().filter_map(Weak::upgrade) {
            receiver.close().await;
        }
        Ok(())
    }
}
