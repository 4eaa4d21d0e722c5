//! A process on a broker: each of its lives has a connection of its own, which dies first.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::broker::{Broker, Connection};
use crate::node::{Life, Node};

impl Node {
    /// [Runs](Self::run) `work` on `broker`, each life over a new connection. At a death that is severed first:
    /// what was out on it comes back as this broker gives it back, by a lost connection or the end of a lease.
    /// Then `losses` are taken.
    ///
    /// `work` puts what it needs around the connection: [`gated`](crate::gated::gated) makes each call a place to
    /// be late or to die at.
    pub async fn run_on<F: Future<Output = ()>>(
        &self,
        broker: &Arc<Broker>,
        down_time: Duration,
        work: impl Fn(Arc<Connection>, Life) -> F,
        losses: impl Fn(&Life),
    ) {
        let last: Mutex<Option<Arc<Connection>>> = Mutex::default();
        let last = || last.lock().unwrap_or_else(PoisonError::into_inner);
        let connected = |life: Life| {
            let connection = broker.connect();
            *last() = Some(Arc::clone(&connection));
            work(connection, life)
        };
        let severed = |life: &Life| {
            if let Some(connection) = last().take() {
                connection.sever();
            }
            losses(life);
        };
        self.run(down_time, connected, severed).await;
    }
}
