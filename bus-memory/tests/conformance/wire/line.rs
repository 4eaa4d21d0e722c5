//! The line between clients and a broker.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use bus::capability::{Durability, Reach};
use bus::{Bus, Capability, Error, ErrorKind, Moment, Seams};
use bus_memory::{MemoryBus, MemoryOptions};

use super::session::Session;

/// Longest way in one direction; the shortest is a millisecond.
const LATENCY_MILLISECONDS_MAX: u64 = 4;

/// The connections broke while a call was on its way.
#[derive(Debug)]
pub(super) struct Broken;

pub(super) struct Line {
    pub(super) seams: Seams,
    pub(super) capability: Capability,
    options: MemoryOptions,
    state: Mutex<State>,
    call_count: AtomicU64,
}

struct State {
    broker: Arc<MemoryBus>,
    /// Which connections: each break makes new ones.
    number: u64,
    /// Nobody can connect before this.
    up_at: Moment,
    /// Nothing gets through before this.
    clear_at: Moment,
    sessions: Vec<Weak<Session>>,
}

/// One connection, for as long as it lasts.
pub(super) struct Connection {
    pub(super) broker: Arc<MemoryBus>,
    pub(super) number: u64,
}

impl Line {
    pub(super) fn new(seams: Seams, options: MemoryOptions, forgets: bool) -> Arc<Self> {
        let broker = MemoryBus::new(seams.clone(), options.clone());
        let durability = if forgets { Durability::Volatile } else { Durability::Disk };
        let capability = Capability { durability, reach: Reach::Network, ..broker.capability().clone() };
        let (up_at, clear_at) = (Moment::default(), Moment::default());
        let state = State { broker, number: 1, up_at, clear_at, sessions: Vec::new() };
        Arc::new(Self { seams, capability, options, state: Mutex::new(state), call_count: AtomicU64::new(0) })
    }

    /// A connection, unless there is none at the moment.
    pub(super) fn connection(&self) -> Result<Connection, Error> {
        let state = self.state();
        if self.seams.clock.now() < state.up_at {
            let text = "broker.example cannot be reached; connecting again by itself";
            return Err(Error::new(ErrorKind::Unavailable, "connect", text));
        }
        Ok(Connection { broker: Arc::clone(&state.broker), number: state.number })
    }

    /// When something gets through again; `None`: now.
    pub(super) fn shut_until(&self) -> Option<Moment> {
        let state = self.state();
        Some(state.up_at.max(state.clear_at)).filter(|opens| self.seams.clock.now() < *opens)
    }

    /// A call on a connection: there, what it does at the broker, and back.
    pub(super) async fn ask<T>(&self, number: u64, call: impl Future<Output = T>) -> Result<T, Broken> {
        self.count_call();
        self.travel(number).await?;
        let answer = call.await;
        self.travel(number).await?;
        Ok(answer)
    }

    /// One way, there or back.
    pub(super) async fn travel(&self, number: u64) -> Result<(), Broken> {
        let bits = self.seams.entropy.bits("latency", "wire") as u64;
        let latency = Duration::from_millis(1 + bits % LATENCY_MILLISECONDS_MAX);
        let clock = &self.seams.clock;
        let clear_at = self.state().clear_at;
        clock.sleep_until(clear_at.max(clock.now() + latency)).await;
        if self.is_up(number) { Ok(()) } else { Err(Broken) }
    }

    pub(super) fn is_up(&self, number: u64) -> bool {
        self.state().number == number
    }

    /// A call to the broker is made.
    pub(super) fn count_call(&self) {
        self.call_count.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn call_count(&self) -> u64 {
        self.call_count.load(Ordering::Relaxed)
    }

    /// Tells `session` of what happens to its connection.
    pub(super) fn register(&self, session: &Arc<Session>) {
        let mut state = self.state();
        state.sessions.retain(|known| known.strong_count() > 0);
        state.sessions.push(Arc::downgrade(session));
    }

    /// Breaks every connection; new ones can be made after `span`. The broker notices: it takes back
    /// what it had handed out.
    pub(super) fn break_connections(&self, span: Duration) {
        let sessions = {
            let mut state = self.state();
            state.number += 1;
            state.up_at = self.seams.clock.now() + span;
            state.sessions.clone()
        };
        sessions.iter().filter_map(Weak::upgrade).for_each(|session| session.broke());
    }

    /// The broker has lost all it had.
    pub(super) fn forget(&self) {
        self.state().broker = MemoryBus::new(self.seams.clone(), self.options.clone());
    }

    pub(super) fn stall(&self, span: Duration) {
        let sessions = {
            let mut state = self.state();
            state.clear_at = self.seams.clock.now() + span;
            state.sessions.clone()
        };
        sessions.iter().filter_map(Weak::upgrade).for_each(|session| session.look_again());
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
