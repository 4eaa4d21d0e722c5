//! The bus of one process on the line.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use bus::{
    Bus, BusState, BusUrl, Capability, Declaration, Depth, Error, ErrorKind, Outgoing, PublishOutcome, Receiver,
    Result, SubscribeOptions, Subscription,
};
use bus_memory::MemoryBus;

use super::line::{Connection, Line};
use super::receiver::Handle;
use super::session::Session;

pub(super) struct Client {
    url: BusUrl,
    line: Arc<Line>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    is_closed: bool,
    sessions: Vec<Weak<Session>>,
}

impl Client {
    pub(super) fn new(url: BusUrl, line: Arc<Line>) -> Self {
        tracing::info!(%url, "connected");
        Self { url, line, state: Mutex::default() }
    }

    fn connection(&self, operation: &'static str) -> Result<Connection> {
        if self.state().is_closed {
            return Err(Error::new(ErrorKind::Closed, operation, "the bus is closed"));
        }
        let connection = self.line.connection();
        connection.inspect_err(|error| tracing::warn!(url = %self.url, operation, %error, "not connected"))
    }

    /// A call that the broker answers with a result.
    async fn call<T, F>(&self, operation: &'static str, ask: impl FnOnce(Arc<MemoryBus>) -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let connection = self.connection(operation)?;
        let answer = self.line.ask(connection.number, ask(connection.broker)).await;
        answer.unwrap_or_else(|_| Err(unanswered(operation)))
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unanswered(operation: &'static str) -> Error {
    Error::new(ErrorKind::Timeout, operation, "the connection to broker.example broke before the answer")
}

#[async_trait]
impl Bus for Client {
    fn capability(&self) -> &Capability {
        &self.line.capability
    }

    fn state(&self) -> BusState {
        match self.connection("state") {
            Ok(_) => BusState::Up,
            Err(error) => BusState::Down(error.to_string()),
        }
    }

    async fn declare(&self, declarations: &[Declaration]) -> Result<()> {
        self.call("declare", async move |broker: Arc<MemoryBus>| broker.declare(declarations).await).await
    }

    async fn publish(&self, batch: Vec<Outgoing>) -> Vec<PublishOutcome> {
        let count = batch.len();
        let connection = match self.connection("publish") {
            Ok(connection) => connection,
            Err(error) => {
                let refused = || PublishOutcome::Refused(Error::new(error.kind(), "publish", error.to_string()));
                return (0..count).map(|_| refused()).collect();
            }
        };
        let publishing = connection.broker.publish(batch);
        let answer = self.line.ask(connection.number, publishing).await;
        answer.unwrap_or_else(|_| (0..count).map(|_| PublishOutcome::Unknown(unanswered("publish"))).collect())
    }

    async fn subscribe(&self, subscription: &Subscription, options: SubscribeOptions) -> Result<Arc<dyn Receiver>> {
        let number = self.connection("subscribe")?.number;
        let receiver = self
            .call("subscribe", async move |broker: Arc<MemoryBus>| broker.subscribe(subscription, options).await)
            .await?;
        let session = Session::open(Arc::clone(&self.line), subscription.clone(), options, number, receiver);
        self.line.register(&session);
        if !self.line.is_up(number) {
            session.broke();
        }
        let mut state = self.state();
        if state.is_closed {
            return Err(Error::new(ErrorKind::Closed, "subscribe", "the bus is closed"));
        }
        state.sessions.push(Arc::downgrade(&session));
        Ok(Arc::new(Handle(session)))
    }

    async fn depth(&self, subscription: &Subscription) -> Result<Depth> {
        self.call("depth", async move |broker: Arc<MemoryBus>| broker.depth(subscription).await).await
    }

    async fn purge(&self, subscription: &Subscription) -> Result<()> {
        self.call("purge", async move |broker: Arc<MemoryBus>| broker.purge(subscription).await).await
    }

    async fn close(&self, _: Duration) -> Result<()> {
        let sessions = {
            let mut state = self.state();
            state.is_closed = true;
            std::mem::take(&mut state.sessions)
        };
        sessions.iter().filter_map(Weak::upgrade).for_each(|session| session.end());
        Ok(())
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("url", &self.url).finish_non_exhaustive()
    }
}
