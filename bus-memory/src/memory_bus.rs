//! The bus itself.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bus::capability::Counting;
use bus::{
    Bus, BusState, Capability, ClockExt, Declaration, Depth, Error, ErrorKind, Outgoing, PublishOutcome, Receiver,
    Result, Seams, SubscribeOptions, Subscription,
};

use crate::MemoryOptions;
use crate::broker::Broker;
use crate::ledger::Entries;
use crate::publish::publish;
use crate::queue::Queue;
use crate::receiver::MemoryReceiver;
use crate::refusal;
use crate::topology::Topology;

/// A bus in this process. See the [crate](crate) for what it promises.
pub struct MemoryBus {
    broker: Arc<Broker>,
}

impl MemoryBus {
    /// A bus without a journal: its messages are gone when it is dropped.
    #[must_use]
    pub fn new(seams: Seams, options: MemoryOptions) -> Arc<Self> {
        Arc::new(Self { broker: Arc::new(Broker::new(seams, options, None, Topology::default())) })
    }

    /// A bus that keeps accepted messages in the directory `journal`, with those found there.
    ///
    /// `Ok` promises that every message accepted there and not settled is on the bus, in the order
    /// of acceptance; receive counts and nack delays start anew, publish delays go on. Blocks on
    /// the disk: call it at start-up.
    ///
    /// # Errors
    /// [`Unavailable`](ErrorKind::Unavailable) when the directory is in use, damaged or out of reach.
    #[cfg(feature = "journal")]
    pub async fn open(journal: &std::path::Path, seams: Seams, options: MemoryOptions) -> Result<Arc<Self>> {
        let (ledger, found) = crate::ledger::Ledger::open(journal).await?;
        let topology = found.restore(&seams, &options);
        Ok(Arc::new(Self { broker: Arc::new(Broker::new(seams, options, Some(ledger), topology)) }))
    }

    /// Resolves when the journal has failed for good: stop the process, a restart finds what was
    /// accepted. Never resolves without a journal. Dropping it has no effect.
    pub async fn failed(&self) -> Error {
        match &self.broker.ledger {
            Some(ledger) => ledger.failed().await,
            None => std::future::pending().await,
        }
    }

    /// What [`Bus::depth`] answers, without a future: exact, also with counting switched off.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) when it was not declared.
    pub fn depth_now(&self, subscription: &Subscription) -> Result<Depth> {
        Ok(self.queue(subscription, "depth")?.depth())
    }

    fn queue(&self, subscription: &Subscription, operation: &'static str) -> Result<Arc<Queue>> {
        let queue = self.broker.topology().queue(subscription);
        queue.ok_or_else(|| refusal::unsubscribable(subscription, operation))
    }
}

#[async_trait]
impl Bus for MemoryBus {
    fn capability(&self) -> &Capability {
        &self.broker.capability
    }

    fn state(&self) -> BusState {
        self.broker.state()
    }

    async fn declare(&self, declarations: &[Declaration]) -> Result<()> {
        self.broker.declare(declarations).await
    }

    async fn publish(&self, batch: Vec<Outgoing>) -> Vec<PublishOutcome> {
        publish(&self.broker, batch).await
    }

    async fn subscribe(&self, subscription: &Subscription, options: SubscribeOptions) -> Result<Arc<dyn Receiver>> {
        check(options)?;
        let (node, queue) = {
            let topology = self.broker.topology();
            if topology.is_closed {
                return Err(refusal::closed("subscribe"));
            }
            (topology.node(subscription.destination()).cloned(), topology.queue(subscription))
        };
        let (Some(node), Some(queue)) = (node, queue) else {
            return Err(refusal::unsubscribable(subscription, "subscribe"));
        };
        Ok(Arc::new(MemoryReceiver::open(Arc::clone(&self.broker), node, queue, options)?))
    }

    async fn depth(&self, subscription: &Subscription) -> Result<Depth> {
        self.broker.require_open("depth")?;
        if self.broker.options.depth == Counting::None {
            return Err(refusal::uncounted(subscription));
        }
        self.depth_now(subscription)
    }

    async fn purge(&self, subscription: &Subscription) -> Result<()> {
        self.broker.require_open("purge")?;
        if !self.broker.options.purge {
            return Err(refusal::unpurgeable(subscription));
        }
        let queue = self.queue(subscription, "purge")?;
        let purged = queue.with_now(|state, _| state.purge());
        queue.discard(purged.messages, purged.freed);
        let Some(ledger) = &self.broker.ledger else { return Ok(()) };
        let mut entries = Entries::default();
        for row in &purged.spent {
            entries.delete(queue.number(), *row);
        }
        ledger.commit(entries, "purge").await
    }

    async fn close(&self, deadline: Duration) -> Result<()> {
        self.broker.close();
        let Some(ledger) = &self.broker.ledger else { return Ok(()) };
        match self.broker.seams.clock.timeout(deadline, ledger.close()).await {
            Some(closed) => closed,
            None => Err(Error::new(ErrorKind::Timeout, "close", "the journal was not written in time")),
        }
    }
}

fn check(options: SubscribeOptions) -> Result<()> {
    let fault = if options.prefetch_count_max == 0 {
        "a prefetch of 0 receives nothing; use at least 1"
    } else if options.lease.is_some_and(|lease| lease.is_zero()) {
        "a lease of no time ends before it begins; leave it out for the bus's own"
    } else {
        return Ok(());
    };
    Err(Error::new(ErrorKind::Invalid, "subscribe", fault))
}

impl fmt::Debug for MemoryBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryBus").field("capability", &self.broker.capability).finish_non_exhaustive()
    }
}
