//! A bus that answers otherwise than the bus behind it would, on demand.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use bus::{
    Bus, BusState, Capability, ClockExt, Declaration, Delivery, Error, ErrorKind, ExtendOutcome, Outgoing,
    PublishOutcome, Receiver, Result, Seams, SettleOutcome, Settlement, SubscribeOptions, Subscription, Token,
    Unsettled,
};
use bus_memory::MemoryBus;

/// What becomes of one published message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Publication {
    /// The bus decides.
    Through,
    /// It never arrives, and nobody knows.
    Lost,
    /// It arrives, and nobody knows.
    AnswerLost,
    /// It is refused.
    Refused(ErrorKind),
}

/// What becomes of one settlement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settling {
    /// It came too late; the bus keeps its lease.
    LeaseLost,
    /// It fails; the bus keeps its lease.
    Failed,
}

/// What becomes of one extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extension {
    /// The delivery is somebody else's; here it goes back to the queue.
    LeaseLost,
    /// The call fails.
    Failed,
}

type OnPublish = dyn FnMut(&Outgoing) -> Publication + Send;

#[derive(Default)]
struct Orders {
    hanging: BTreeSet<&'static str>,
    receive_error: Option<ErrorKind>,
    receive_takes: Duration,
    settlings: BTreeMap<String, VecDeque<Settling>>,
    extensions: BTreeMap<String, VecDeque<Extension>>,
    on_publish: Option<Box<OnPublish>>,
    published: Vec<(Duration, Vec<Outgoing>)>,
    names: BTreeMap<Token, String>,
    calls: BTreeMap<&'static str, usize>,
}

/// Stands before a bus; passes everything on until told otherwise.
pub struct Meddler {
    inner: Arc<MemoryBus>,
    desk: Arc<Desk>,
}

struct Desk {
    seams: Seams,
    orders: Mutex<Orders>,
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

    /// What was received is known only after `span`.
    pub fn slow_receive(&self, span: Duration) {
        self.desk.orders().receive_takes = span;
    }

    /// Answers the next settlement of a message.
    pub fn settle(&self, id: &str, settling: Settling) {
        self.desk.orders().settlings.entry(id.to_owned()).or_default().push_back(settling);
    }

    /// Answers the next extension of a message's lease.
    pub fn extend(&self, id: &str, extension: Extension) {
        self.desk.orders().extensions.entry(id.to_owned()).or_default().push_back(extension);
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

    fn error(kind: ErrorKind, operation: &'static str) -> Error {
        Error::new(kind, operation, "the test says so")
    }
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
            orders.published.push((self.desk.seams.clock.now().since_origin(), batch.clone()));
            let Orders { on_publish, .. } = &mut *orders;
            let decide = |outgoing: &Outgoing| on_publish.as_mut().map_or(Publication::Through, |decide| decide(outgoing));
            batch.iter().map(decide).collect()
        };
        self.desk.enter("publish").await;
        let arrives = |decision: &Publication| matches!(decision, Publication::Through | Publication::AnswerLost);
        let arriving = batch.into_iter().zip(&decisions).filter(|(_, decision)| arrives(decision));
        let mut answers = self.inner.publish(arriving.map(|(outgoing, _)| outgoing).collect()).await.into_iter();
        let unknown = || PublishOutcome::Unknown(Desk::error(ErrorKind::Timeout, "publish"));
        let answer = |decision| match decision {
            Publication::Through => answers.next().unwrap_or_else(unknown),
            Publication::AnswerLost => answers.next().map_or_else(unknown, |_| unknown()),
            Publication::Lost => unknown(),
            Publication::Refused(kind) => PublishOutcome::Refused(Desk::error(kind, "publish")),
        };
        decisions.into_iter().map(answer).collect()
    }

    async fn subscribe(&self, subscription: &Subscription, options: SubscribeOptions) -> Result<Arc<dyn Receiver>> {
        self.desk.enter("subscribe").await;
        let inner = self.inner.subscribe(subscription, options).await?;
        Ok(Arc::new(Meddled { inner, desk: Arc::clone(&self.desk) }))
    }

    async fn close(&self, deadline: Duration) -> Result<()> {
        self.inner.close(deadline).await
    }
}

struct Meddled {
    inner: Arc<dyn Receiver>,
    desk: Arc<Desk>,
}

#[async_trait]
impl Receiver for Meddled {
    async fn receive(&self, max: usize, into: &mut Vec<Delivery>) -> Result<()> {
        self.desk.enter("receive").await;
        let (error, takes) = {
            let orders = self.desk.orders();
            (orders.receive_error, orders.receive_takes)
        };
        if let Some(kind) = error {
            return Err(Desk::error(kind, "receive"));
        }
        let result = self.inner.receive(max, into).await;
        let named = into.iter().map(|delivery| (delivery.token(), delivery.message().id().to_string()));
        self.desk.orders().names.extend(named);
        if !takes.is_zero() {
            self.desk.seams.clock.sleep(takes).await;
        }
        result
    }

    async fn settle(&self, batch: Vec<Settlement>) -> Vec<SettleOutcome> {
        self.desk.enter("settle").await;
        let mut passed = Vec::new();
        let mut answers: Vec<Option<SettleOutcome>> = Vec::new();
        for settlement in batch {
            let settling = {
                let mut orders = self.desk.orders();
                let Orders { names, settlings, .. } = &mut *orders;
                names.get(&settlement.token()).and_then(|id| settlings.get_mut(id)?.pop_front())
            };
            answers.push(settling.map(|settling| match settling {
                Settling::LeaseLost => SettleOutcome::LeaseLost,
                Settling::Failed => SettleOutcome::Failed(Desk::error(ErrorKind::Unavailable, "settle")),
            }));
            if settling.is_some() {
                let _ = settlement.into_parts();
            } else {
                passed.push(settlement);
            }
        }
        let mut through = self.inner.settle(passed).await.into_iter();
        answers.into_iter().filter_map(|answer| answer.or_else(|| through.next())).collect()
    }

    async fn extend(&self, tokens: &[Token], by: Duration) -> Vec<ExtendOutcome> {
        self.desk.enter("extend").await;
        let mut outcomes = Vec::new();
        for token in tokens {
            let extension = {
                let mut orders = self.desk.orders();
                let Orders { names, extensions, .. } = &mut *orders;
                names.get(token).and_then(|id| extensions.get_mut(id)?.pop_front())
            };
            match extension {
                None => outcomes.extend(self.inner.extend(&[*token], by).await),
                Some(Extension::Failed) => outcomes.push(ExtendOutcome::Failed(Desk::error(ErrorKind::Timeout, "extend"))),
                Some(Extension::LeaseLost) => outcomes.push(ExtendOutcome::LeaseLost),
            }
        }
        outcomes
    }

    async fn release(&self, unstarted: Vec<Unsettled>) {
        self.desk.enter("release").await;
        self.inner.release(unstarted).await;
    }

    async fn lost(&self) -> Vec<Token> {
        self.inner.lost().await
    }

    fn stop(&self) {
        self.inner.stop();
    }

    async fn close(&self) {
        self.desk.enter("close").await;
        self.inner.close().await;
    }
}
