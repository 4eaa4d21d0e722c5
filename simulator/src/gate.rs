//! Every call a process makes to the outside: noted, a little late, and a place to die at.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bus::Message;

use crate::chance::hash;
use crate::node::{Life, Node};

/// On which side of a call a process dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "orders", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum Side {
    /// The call has had no effect.
    Before,
    /// The call has had its effect, and nobody learns of it.
    After,
}

/// The gate of one node. Clones are the same gate.
#[derive(Clone, Debug)]
pub struct Gate {
    node: Node,
    /// Longest wait of a call before it begins, in nanoseconds: it decides which of two calls is first.
    jitter_max: u64,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    call_count: u64,
    deaths: BTreeMap<u64, Side>,
    /// Deaths before a call, and after one.
    death_counts: [u64; 2],
}

impl Gate {
    /// A gate whose calls begin up to `jitter_max` late, and at some of which the node dies: by the
    /// number of the call, counted from 1 over all lives.
    #[must_use]
    pub fn new(node: &Node, jitter_max: Duration, deaths: BTreeMap<u64, Side>) -> Self {
        let jitter_max = u64::try_from(jitter_max.as_nanos()).unwrap_or(u64::MAX);
        Self { node: node.clone(), jitter_max, state: Arc::new(Mutex::new(State { deaths, ..State::default() })) }
    }

    /// How many calls there were.
    #[must_use]
    pub fn call_count(&self) -> u64 {
        self.state().call_count
    }

    /// How often the node died before a call, and after one.
    #[must_use]
    pub fn death_counts(&self) -> [u64; 2] {
        self.state().death_counts
    }

    /// Nobody dies any more.
    pub fn spare(&self) {
        self.state().deaths.clear();
    }

    /// Makes a call: `what` it is and to `whom`, for people and for the dice.
    pub async fn call<T>(&self, life: &Life, what: &'static str, whom: &str, call: impl Future<Output = T>) -> T {
        let world = self.node.world();
        let name = self.node.name();
        let death = {
            let mut state = self.state();
            state.call_count += 1;
            let number = state.call_count;
            state.deaths.remove(&number)
        };
        let _open = world.waits(name, what);
        world.chronicle().note(name, what, whom, "");
        if self.jitter_max > 0 {
            let jitter = world.chance().between(0, self.jitter_max, what, whom);
            world.clock().wait(jitter).await;
        }
        if death == Some(Side::Before) {
            return self.die(Side::Before).await;
        }
        if life.is_over() {
            return std::future::pending().await;
        }
        let output = call.await;
        if death == Some(Side::After) {
            return self.die(Side::After).await;
        }
        if life.is_over() {
            return std::future::pending().await;
        }
        output
    }

    /// The node it belongs to.
    #[must_use]
    pub fn node_name(&self) -> &'static str {
        self.node.name()
    }

    /// Notes a message that came in.
    pub fn note_received(&self, message: &Message) {
        let (id, digest) = (message.id().to_string(), hash(message.body()));
        self.node.world().chronicle().note(self.node.name(), "received", &id, &format!("{digest:016x}"));
    }

    async fn die<T>(&self, side: Side) -> T {
        self.state().death_counts[side as usize] += 1;
        self.node.crash();
        std::future::pending().await
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
