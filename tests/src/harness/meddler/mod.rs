//! A bus that answers otherwise than the bus behind it would, on demand.

mod receiver;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use bus::{
    Bus, BusState, Capability, Declaration, Depth, Error, ErrorKind, Outgoing, PublishOutcome, Receiver, Result, Seams,
    SubscribeOptions, Subscription, Token,
};
use bus_memory::MemoryBus;

use receiver::Meddled;

/// What becomes of one published message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Publication {
    /// The bus decides.
    Through,
    /// It never arrives, and nobody knows.
    Lost,
    /// It arrives, and nobody knows.
    AnswerLost,
    /// It never arrives, and the answers of the batch are one too few.
    Unanswered,
    /// It is refused.
    Refused(ErrorKind),
}

/// What becomes of one settlement. Either way the lease goes on to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settling {
    /// It came too late.
    LeaseLost,
    /// It fails.
    Failed,
}

type OnPublish = dyn FnMut(&Outgoing) -> Publication + Send;

/// Stands before a bus; passes everything on until told otherwise.
pub struct Meddler {
    inner: Arc<MemoryBus>,
    desk: Arc<Desk>,
}

/// What bus and receivers share.
struct Desk {
    seams: Seams,
    orders: Mutex<Orders>,
}

#[derive(Default)]
struct Orders {
    hanging: BTreeSet<&'static str>,
    receive_error: Option<ErrorKind>,
    receive_takes: Duration,
    settle_takes: Duration,
    release_takes: Duration,
    settlings: BTreeMap<String, VecDeque<Settling>>,
    unextendable: BTreeMap<String, usize>,
    on_publish: Option<Box<OnPublish>>,
    published: Vec<(Duration, Vec<Outgoing>)>,
    settled: Vec<(Duration, String)>,
    names: BTreeMap<Token, String>,
    calls: BTreeMap<&'static str, usize>,
}

impl Meddler {
    pub(super) fn before(inner: Arc<MemoryBus>, seams: Seams) -> Arc<Self> {
        Arc::new(Self { inner, desk: Arc::new(Desk { seams, orders: Mutex::default() }) })
    }

    /// These calls are never answered.
    pub fn hang(&self, calls: &[&'static str]) {
        self.desk.orders().hanging = calls.iter().copied().collect();
    }

    /// Every `receive` fails so, until told otherwise.
    pub fn fail_receive(&self, kind: Option<ErrorKind>) {
        self.desk.orders().receive_error = kind;
    }

    /// What was received, or that receiving failed, is known only after `span`.
    pub fn slow_receive(&self, span: Duration) {
        self.desk.orders().receive_takes = span;
    }

    /// What was settled is known only after `span`.
    pub fn slow_settle(&self, span: Duration) {
        self.desk.orders().settle_takes = span;
    }

    /// What was released is back only after `span`.
    pub fn slow_release(&self, span: Duration) {
        self.desk.orders().release_takes = span;
    }

    /// Answers the next settlement of a message.
    pub fn settle(&self, id: &str, settling: Settling) {
        self.desk.orders().settlings.entry(id.to_owned()).or_default().push_back(settling);
    }

    /// The next extensions of a message's lease fail, so many.
    pub fn fail_extensions(&self, id: &str, count: usize) {
        self.desk.orders().unextendable.insert(id.to_owned(), count);
    }

    /// Decides about every message published from now on.
    pub fn on_publish(&self, decide: impl FnMut(&Outgoing) -> Publication + Send + 'static) {
        self.desk.orders().on_publish = Some(Box::new(decide));
    }

    /// Every batch published through here, with its time.
    #[must_use]
    pub fn published(&self) -> Vec<(Duration, Vec<Outgoing>)> {
        self.desk.orders().published.clone()
    }

    /// Every settlement that was answered, with its time.
    #[must_use]
    pub fn settled(&self) -> Vec<(Duration, String)> {
        self.desk.orders().settled.clone()
    }

    /// How often a call was made.
    #[must_use]
    pub fn call_count(&self, call: &str) -> usize {
        self.desk.orders().calls.get(call).copied().unwrap_or_default()
    }
}

impl Desk {
    fn orders(&self) -> MutexGuard<'_, Orders> {
        self.orders.lock().expect("nothing panics while it holds this")
    }

    fn elapsed(&self) -> Duration {
        self.seams.clock.now().since_origin()
    }

    /// Counts a call, and keeps it for ever where it is to hang.
    async fn enter(&self, call: &'static str) {
        let hangs = {
            let mut orders = self.orders();
            *orders.calls.entry(call).or_default() += 1;
            orders.hanging.contains(call)
        };
        if hangs {
            std::future::pending::<()>().await;
        }
    }
}

fn error(kind: ErrorKind, operation: &'static str) -> Error {
    Error::new(kind, operation, "the test says so")
}

impl std::fmt::Debug for Meddler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Meddler")
    }
}

#[async_trait]
impl Bus for Meddler {
    fn capability(&self) -> &Capability {
        self.inner.capability()
    }

    fn state(&self) -> BusState {
        self.inner.state()
    }

    async fn declare(&self, declarations: &[Declaration]) -> Result<()> {
        self.inner.declare(declarations).await
    }

    async fn publish(&self, batch: Vec<Outgoing>) -> Vec<PublishOutcome> {
        let decisions: Vec<Publication> = {
            let mut orders = self.desk.orders();
            orders.published.push((self.desk.elapsed(), batch.clone()));
            let mut decide = orders.on_publish.take();
            let decisions = batch.iter().map(|one| decide.as_mut().map_or(Publication::Through, |decide| decide(one)));
            let decisions = decisions.collect();
            orders.on_publish = decide;
            decisions
        };
        self.desk.enter("publish").await;
        let arrives = |decision: &Publication| matches!(decision, Publication::Through | Publication::AnswerLost);
        let arriving = batch.into_iter().zip(&decisions).filter(|(_, decision)| arrives(decision));
        let mut answers = self.inner.publish(arriving.map(|(outgoing, _)| outgoing).collect()).await.into_iter();
        let unknown = || PublishOutcome::Unknown(error(ErrorKind::Timeout, "publish"));
        let answer = |decision| match decision {
            Publication::Through => answers.next(),
            Publication::AnswerLost => answers.next().map(|_| unknown()),
            Publication::Lost => Some(unknown()),
            Publication::Unanswered => None,
            Publication::Refused(kind) => Some(PublishOutcome::Refused(error(kind, "publish"))),
        };
        decisions.into_iter().filter_map(answer).collect()
    }

    async fn subscribe(&self, subscription: &Subscription, options: SubscribeOptions) -> Result<Arc<dyn Receiver>> {
        self.desk.enter("subscribe").await;
        let inner = self.inner.subscribe(subscription, options).await?;
        Ok(Arc::new(Meddled { inner, desk: Arc::clone(&self.desk) }))
    }

    async fn depth(&self, subscription: &Subscription) -> Result<Depth> {
        self.inner.depth(subscription).await
    }

    async fn purge(&self, subscription: &Subscription) -> Result<()> {
        self.inner.purge(subscription).await
    }

    async fn close(&self, deadline: Duration) -> Result<()> {
        self.inner.close(deadline).await
    }
}
