//! The contract itself: what a backend implements and what everything else is written against.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::{
    BusState, Capability, Declaration, Delivery, Depth, ExtendOutcome, Outgoing, PublishOutcome, Result, SettleOutcome,
    Settlement, SubscribeOptions, Subscription, Token, Unsettled,
};

/// A message bus. Services hold an `Arc<dyn Bus>`.
///
/// Few methods and none with a default: a default silently breaks a wrapper. Reconnecting is the
/// backend's work; retrying what the application decided is not. A call that the broker does not answer
/// ends by the backend's own limit, with [`Timeout`](crate::ErrorKind::Timeout).
///
/// Beside the errors named, any call may answer [`Unavailable`](crate::ErrorKind::Unavailable) and
/// [`Unauthorized`](crate::ErrorKind::Unauthorized).
#[async_trait]
pub trait Bus: Send + Sync + std::fmt::Debug {
    /// What this bus can do as configured. Does not change while it is open.
    fn capability(&self) -> &Capability;

    /// How it is doing right now; answers from memory, without I/O.
    fn state(&self) -> BusState;

    /// Makes destinations exist, each with its groups and dead letters. Idempotent: further groups are
    /// added, and those not named stay. `Ok`: all of them can be published to and subscribed to. A
    /// dropped call, and an error, leave each there or not: repeat it.
    ///
    /// # Errors
    /// [`Conflict`](crate::ErrorKind::Conflict) when one exists with other properties, or when a
    /// destination and a group would be one queue on some broker (`a.b`, and group `b` of `a`): it
    /// names both, on every bus with groups;
    /// [`Unsupported`](crate::ErrorKind::Unsupported) for groups on a bus without them.
    async fn declare(&self, declarations: &[Declaration]) -> Result<()>;

    /// Publishes a batch and answers per message, in input order: exactly one outcome each.
    ///
    /// Messages of one key and destination are accepted in batch order. Waits while the bus is full
    /// (back-pressure). A dropped call leaves each message accepted or not: resend the same ids.
    async fn publish(&self, batch: Vec<Outgoing>) -> Vec<PublishOutcome>;

    /// Opens a receiver. Several on one subscription compete. Dropped, it gives back what it has; so does
    /// a dropped call.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) when it was not declared,
    /// [`Invalid`](crate::ErrorKind::Invalid) for options under which nothing could be held,
    /// [`Conflict`](crate::ErrorKind::Conflict) while another receives that this bus was told to keep apart
    /// from: effects are single in one store only, and a backend that sees who else is there may take its
    /// name as an option.
    async fn subscribe(&self, subscription: &Subscription, options: SubscribeOptions) -> Result<Arc<dyn Receiver>>;

    /// How many messages of a subscription are where, as exactly as [`Capability::depth`] says.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) when it was not declared,
    /// [`Unsupported`](crate::ErrorKind::Unsupported) on a bus that does not count.
    async fn depth(&self, subscription: &Subscription) -> Result<Depth>;

    /// Removes for good what waits on a subscription, ready or delayed. Messages in flight may go
    /// with it or stay with who has them, and those published meanwhile too. What a receiver has read
    /// ahead waits, and goes. A dropped call, and an error, leave each message there or not.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) when it was not declared,
    /// [`Unsupported`](crate::ErrorKind::Unsupported) without [`Capability::purge`].
    async fn purge(&self, subscription: &Subscription) -> Result<()>;

    /// Closes every receiver and flushes what was accepted, within `deadline`. Idempotent;
    /// afterwards every call answers [`Closed`](crate::ErrorKind::Closed). A dropped call leaves it closed
    /// or not: close it again.
    ///
    /// # Errors
    /// [`Timeout`](crate::ErrorKind::Timeout) when something was not flushed in time.
    async fn close(&self, deadline: Duration) -> Result<()>;
}

/// Hands out deliveries of one subscription and settles them.
///
/// All methods take `&self` and may run at the same time; one `receive` at a time.
#[async_trait]
pub trait Receiver: Send + Sync {
    /// Waits for at least one delivery and appends at most `max` to `into`.
    ///
    /// Dropping the call loses nothing: what was not appended was not handed out. After an error what was
    /// appended is ours, and calling again is right: a broken connection is mended meanwhile.
    ///
    /// # Errors
    /// [`Closed`](crate::ErrorKind::Closed) once [`stop`](Self::stop)ped and nothing is left to hand out: it
    /// is final.
    async fn receive(&self, max: usize, into: &mut Vec<Delivery>) -> Result<()>;

    /// Settles a batch and answers per settlement, in input order. What is no longer ours is
    /// [`LeaseLost`](SettleOutcome::LeaseLost), whatever else would be wrong with the verdict.
    ///
    /// A nack for longer than [`Capability::nack_delay_max`] and a reject without
    /// [`Capability::dead_letters`] are [`Failed`](SettleOutcome::Failed)
    /// ([`Unsupported`](crate::ErrorKind::Unsupported)), and the delivery is held to the end of its lease.
    ///
    /// A dropped call leaves each settlement made or not, and strands no delivery: what was not made
    /// is given back as if dropped, or comes again when its lease ends. So a backend takes the duty
    /// out of a [`Settlement`] only when nothing more than the broker's answer is to be awaited.
    async fn settle(&self, batch: Vec<Settlement>) -> Vec<SettleOutcome>;

    /// Extends leases to `by` from now and answers per token, in input order. A dropped call leaves
    /// each lease extended or as it was.
    async fn extend(&self, tokens: &[Token], by: Duration) -> Vec<ExtendOutcome>;

    /// Gives back deliveries whose handler never started: visible at once, in order, and where the
    /// broker can, without counting as received. A dropped call strands no delivery: what was not
    /// released is given back as if dropped, or comes again when its lease ends.
    async fn release(&self, unstarted: Vec<Unsettled>);

    /// Waits until leases are known to be lost and says which, each once. Dropping the call loses nothing.
    /// Never empty while open; an empty answer of a closed receiver says that there will be no other.
    async fn lost(&self) -> Vec<Token>;

    /// No more deliveries: a `receive` in flight ends. Settling goes on. Idempotent, without I/O.
    fn stop(&self);

    /// Stops, flushes settlements and gives back what is unsettled. Idempotent.
    async fn close(&self);
}

/// What follows from a [`Bus`].
#[async_trait]
pub trait BusExt: Bus {
    /// Publishes one message.
    async fn publish_one(&self, outgoing: Outgoing) -> PublishOutcome {
        let outcome = self.publish(vec![outgoing]).await.pop();
        outcome.unwrap_or_else(|| PublishOutcome::Unknown(unanswered("publish")))
    }
}

impl<B: Bus + ?Sized> BusExt for B {}

/// What follows from a [`Receiver`].
#[async_trait]
pub trait ReceiverExt: Receiver {
    /// Settles one delivery and waits for the answer.
    async fn settle_one(&self, settlement: Settlement) -> SettleOutcome {
        let outcome = self.settle(vec![settlement]).await.pop();
        outcome.unwrap_or_else(|| SettleOutcome::Failed(unanswered("settle")))
    }
}

impl<R: Receiver + ?Sized> ReceiverExt for R {}

fn unanswered(operation: &'static str) -> crate::Error {
    crate::Error::new(crate::ErrorKind::Unexpected, operation, "the backend answered fewer entries than it was given")
}
