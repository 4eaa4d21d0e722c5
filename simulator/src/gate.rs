//! Every call a process makes to the outside: noted, a little late, and a place to die at.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bus::Message;

use crate::chronicle::digest;
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

/// A death that was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Death {
    /// The number of the call it died at, from 1.
    pub call: u64,
    /// What the call was.
    pub what: String,
    /// Its number among calls of this kind, from 1.
    pub nth: u64,
    /// Before it or after.
    pub side: Side,
}

#[derive(Debug, Default)]
struct State {
    call_count: u64,
    /// By kind of call: a dozen.
    counts: Vec<(&'static str, u64)>,
    deaths: BTreeMap<u64, Side>,
    /// By kind of call and number among its kind.
    named_deaths: BTreeMap<(String, u64), Side>,
    died: Vec<Death>,
    /// The number of calls when it was spared.
    spared_at: Option<u64>,
}

impl State {
    /// Counts a call; the death that is due at it.
    fn next_call(&mut self, what: &'static str) -> Option<Death> {
        self.call_count += 1;
        let nth = match self.counts.iter_mut().find(|(kind, _)| *kind == what) {
            Some((_, count)) => {
                *count += 1;
                *count
            }
            None => {
                self.counts.push((what, 1));
                1
            }
        };
        let call = self.call_count;
        if self.spared_at.is_some() {
            return None;
        }
        let numbered = self.deaths.get(&call);
        let is_named = !self.named_deaths.is_empty();
        let named = is_named.then(|| self.named_deaths.get(&(what.to_owned(), nth))).flatten();
        numbered.or(named).map(|side| Death { call, what: what.to_owned(), nth, side: *side })
    }

    /// Takes a death that is due; false: it was spared since the call began.
    fn take(&mut self, death: &Death) -> bool {
        if self.spared_at.is_some() {
            return false;
        }
        self.deaths.remove(&death.call);
        self.named_deaths.remove(&(death.what.clone(), death.nth));
        self.died.push(death.clone());
        true
    }
}

impl Gate {
    /// A gate whose calls begin up to `jitter_max` late, and at some of which the node dies: by the
    /// number of the call, counted from 1 over all lives.
    #[must_use]
    pub fn new(node: &Node, jitter_max: Duration, deaths: BTreeMap<u64, Side>) -> Self {
        let jitter_max = u64::try_from(jitter_max.as_nanos()).unwrap_or(u64::MAX);
        Self { node: node.clone(), jitter_max, state: Arc::new(Mutex::new(State { deaths, ..State::default() })) }
    }

    /// Lets the node die at the n-th call of a kind, too.
    pub fn dies_at(&self, what: &str, nth: u64, side: Side) {
        self.state().named_deaths.insert((what.to_owned(), nth), side);
    }

    /// From now on it dies no more.
    pub fn spare(&self) {
        let mut state = self.state();
        state.spared_at = Some(state.call_count);
    }

    /// How many calls there were until it was [spared](Self::spare).
    #[must_use]
    pub fn spared_at(&self) -> Option<u64> {
        self.state().spared_at
    }

    /// Where it died so far.
    #[must_use]
    pub fn deaths(&self) -> Vec<Death> {
        self.state().died.clone()
    }

    /// Where it was to die and did not come to.
    #[must_use]
    pub fn deaths_to_come(&self) -> Vec<String> {
        let state = self.state();
        let numbered = state.deaths.keys().map(|number| format!("call {number}"));
        numbered.chain(state.named_deaths.keys().map(|(what, nth)| format!("{what} {nth}"))).collect()
    }

    /// How many calls there were.
    #[must_use]
    pub fn call_count(&self) -> u64 {
        self.state().call_count
    }

    /// How often the node died before a call, and after one.
    #[must_use]
    pub fn death_counts(&self) -> [u64; 2] {
        let state = self.state();
        let count = |side| state.died.iter().filter(|death| death.side == side).count() as u64;
        [count(Side::Before), count(Side::After)]
    }

    /// Makes a call: `what` it is and to `whom`, for people and for the dice.
    pub async fn call<T>(&self, life: &Life, what: &'static str, whom: &str, call: impl Future<Output = T>) -> T {
        let world = self.node.world();
        let name = self.node.name();
        let death = self.state().next_call(what);
        let _open = world.waits(name, what);
        world.chronicle().note(name, what, whom, "");
        if self.jitter_max > 0 {
            let jitter = world.chance().between(0, self.jitter_max, what, whom);
            world.clock().wait(jitter).await;
        }
        if let Some(death) = death.as_ref().filter(|death| death.side == Side::Before) {
            self.die(death).await;
        }
        if life.is_over() {
            return std::future::pending().await;
        }
        let output = call.await;
        if let Some(death) = death.as_ref().filter(|death| death.side == Side::After) {
            self.die(death).await;
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

    /// Tells something about the node that is kept where lines are, and is none of the run's events.
    pub fn tell(&self, what: &str, detail: impl FnOnce() -> [String; 2]) {
        self.node.world().chronicle().tell(self.node.name(), what, detail);
    }

    /// Notes a message that came in.
    pub fn note_received(&self, message: &Message) {
        let (id, digest) = (message.id().to_string(), digest(message.body()));
        self.node.world().chronicle().note(self.node.name(), "received", &id, &format!("{digest:016x}"));
    }

    /// Comes back only if the node was spared meanwhile.
    async fn die(&self, death: &Death) {
        if !self.state().take(death) {
            return;
        }
        let side = if death.side == Side::Before { "before" } else { "after" };
        self.tell("died", || [format!("{side} its {}", death.what), format!("number {}", death.nth)]);
        self.node.crash();
        std::future::pending::<()>().await;
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
