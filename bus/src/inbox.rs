//! Seen + effect + outgoing messages, as one atomic write.
//!
//! A handler that does its work and then marks the message as seen loses one of the two in a crash.
//! So the handler only *describes* its work in a [`UnitOfWork`], and the [`IdempotentReceiver`]
//! commits it together with the mark. The application's store implements [`Inbox`].

use std::sync::Arc;

use async_trait::async_trait;

use crate::pipeline::{Attempts, Envelope, Failure, Handled, Handler};
use crate::{ErrorKind, MessageId, Outgoing, Result, Subscription, TraceContext};

/// Re-runs of one delivery after a conflicting write, before it counts as a failed attempt.
const CONFLICT_RERUN_COUNT_MAX: u32 = 32;

/// What one message does: its effects, the messages it causes, and what to do once both are durable.
pub struct UnitOfWork<E> {
    subscription: Subscription,
    message_id: MessageId,
    /// The application's own writes.
    pub effects: E,
    outgoing: Vec<Outgoing>,
    after_commit: Vec<Box<dyn FnOnce() + Send>>,
}

impl<E> UnitOfWork<E> {
    /// Adds a message to the outbox, in order. It keeps the handler's trace, where it has one: the
    /// relay that publishes it later knows nothing of its cause.
    pub fn send(&mut self, mut outgoing: Outgoing) {
        if let Some(context) = TraceContext::current() {
            context.offer_to(outgoing.message_mut());
        }
        self.outgoing.push(outgoing);
    }

    /// Runs `action` after the commit, and never when it fails: log lines, wake-ups.
    pub fn after_commit(&mut self, action: impl FnOnce() + Send + 'static) {
        self.after_commit.push(Box::new(action));
    }
}

/// The parts of a unit of work, for the store that writes them.
pub struct Parts<E> {
    /// Where the message came from; with the id it names the inbox row.
    pub subscription: Subscription,
    /// The message to mark as seen.
    pub message_id: MessageId,
    /// The application's own writes.
    pub effects: E,
    /// The rows to add to the outbox, in order.
    pub outgoing: Vec<Outgoing>,
}

/// What became of a unit of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Committed {
    /// Mark, effects and outgoing messages are durable.
    Applied,
    /// The message was marked before: nothing was written.
    Duplicate,
    /// The effects were computed from something that has changed since: nothing was written.
    Conflict,
}

/// The inbox of an application's store.
#[async_trait]
pub trait Inbox: Attempts {
    /// The application's own writes.
    type Effects: Default + Send;

    /// Marks the message, applies the effects and adds the outgoing messages: all or nothing.
    ///
    /// # Errors
    /// An error leaves open whether it was applied; the next delivery tells.
    async fn commit(&self, parts: Parts<Self::Effects>) -> Result<Committed>;
}

/// A handler that describes its effect instead of committing it.
#[async_trait]
pub trait UnitHandler<E>: Send + Sync {
    /// Fills `unit`. May run again for the same delivery when the commit finds a conflict, so all
    /// it does beside filling the unit must be idempotent.
    async fn handle(&self, envelope: &Envelope, unit: &mut UnitOfWork<E>) -> Handled;
}

/// Makes a [`UnitHandler`] take effect once per message id.
///
/// A duplicate is acknowledged without effect. A store that does not answer is *unavailable*: no
/// attempt is burned and the subscription pauses.
pub struct IdempotentReceiver<I, H> {
    inbox: Arc<I>,
    handler: H,
}

impl<I, H> IdempotentReceiver<I, H> {
    /// Commits what `handler` describes to `inbox`.
    pub fn new(inbox: Arc<I>, handler: H) -> Self {
        Self { inbox, handler }
    }
}

#[async_trait]
impl<I, H> Handler for IdempotentReceiver<I, H>
where
    I: Inbox,
    H: UnitHandler<I::Effects>,
{
    async fn handle(&self, envelope: Envelope) -> Handled {
        for _ in 0..CONFLICT_RERUN_COUNT_MAX {
            let mut unit = UnitOfWork {
                subscription: envelope.subscription().clone(),
                message_id: envelope.message_id().clone(),
                effects: I::Effects::default(),
                outgoing: Vec::new(),
                after_commit: Vec::new(),
            };
            self.handler.handle(&envelope, &mut unit).await?;
            let UnitOfWork { subscription, message_id, effects, outgoing, after_commit } = unit;
            match self.inbox.commit(Parts { subscription, message_id, effects, outgoing }).await {
                Ok(Committed::Applied) => {
                    after_commit.into_iter().for_each(|action| action());
                    return Ok(());
                }
                Ok(Committed::Duplicate) => return Ok(()),
                Ok(Committed::Conflict) => {}
                Err(error) if error.is_retryable() || error.kind() == ErrorKind::Closed => {
                    return Err(Failure::Unavailable(format!("store: {error}")));
                }
                Err(error) => return Err(Failure::Retry(error.to_string())),
            }
        }
        Err(Failure::Retry(format!("{CONFLICT_RERUN_COUNT_MAX} conflicting writes in a row")))
    }
}
