//! What happened, in order, as a rolling hash; and as lines for who asks for them.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::chance::mixed;
use crate::clock::VirtualClock;

/// One thing that happened, or was told of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When, from the beginning of the world.
    pub at: Duration,
    /// The hash after it.
    pub hash: u64,
    /// Whose it is.
    pub who: String,
    /// What was done.
    pub what: String,
    /// To whom.
    pub whom: String,
    /// With what result.
    pub result: String,
    /// Whether it was only told, for people, and is no event of the run.
    pub is_told: bool,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, nanoseconds) = (self.at.as_secs(), self.at.subsec_nanos());
        let Self { who, what, whom, result, .. } = self;
        write!(f, "{seconds:>5}.{nanoseconds:09} {who}: {what} {whom} {result}")
    }
}

/// Notes every event of a run. Clones are the same chronicle.
#[derive(Clone, Debug)]
pub struct Chronicle {
    clock: Arc<VirtualClock>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    hash: u64,
    /// The same without what was only noted aside.
    plain_hash: u64,
    count: u64,
    /// Where they are kept.
    kept: Option<Vec<Event>>,
}

impl Chronicle {
    pub(crate) fn new(clock: Arc<VirtualClock>, keeps_lines: bool) -> Self {
        let kept = keeps_lines.then(Vec::new);
        Self { clock, state: Arc::new(Mutex::new(State { kept, ..State::default() })) }
    }

    /// `who` did `what` to `whom`, with this result.
    pub fn note(&self, who: &str, what: &str, whom: &str, result: &str) {
        self.write([who, what, whom, result], true);
    }

    /// The same, of what is said about a run and is none of its events: that a fault happens. Two runs
    /// that differ by such notes alone have the same [plain hash](Self::plain_hash).
    pub fn note_aside(&self, who: &str, what: &str, whom: &str) {
        self.write([who, what, whom, ""], false);
    }

    fn write(&self, [who, what, whom, result]: [&str; 4], is_event: bool) {
        let now = self.clock.nanoseconds();
        let digest = digest(now, [who, what, whom, result]);
        let mut state = self.state();
        state.hash = mixed(state.hash ^ digest);
        if is_event {
            state.plain_hash = mixed(state.plain_hash ^ digest);
        }
        state.count += 1;
        state.keep(now, [who, what, whom, result], false);
    }

    /// Tells, where lines are kept, more of what happened: to whom, and with what result. It is no event.
    pub fn tell(&self, who: &str, what: &str, detail: impl FnOnce() -> [String; 2]) {
        let now = self.clock.nanoseconds();
        if !self.is_kept() {
            return;
        }
        let [whom, result] = detail();
        self.state().keep(now, [who, what, &whom, &result], true);
    }

    /// The hash over all events so far, without what was noted aside.
    #[must_use]
    pub fn plain_hash(&self) -> u64 {
        self.state().plain_hash
    }

    /// The hash over all events so far.
    #[must_use]
    pub fn hash(&self) -> u64 {
        self.state().hash
    }

    /// How many events there were.
    #[must_use]
    pub fn event_count(&self) -> u64 {
        self.state().count
    }

    /// Whether events are kept.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.state().kept.is_some()
    }

    /// Everything that happened and was told; empty unless lines are kept.
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        self.state().kept.clone().unwrap_or_default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn keep(&mut self, now: u64, texts: [&str; 4], is_told: bool) {
        let hash = self.hash;
        if let Some(kept) = &mut self.kept {
            let [who, what, whom, result] = texts.map(str::to_owned);
            kept.push(Event { at: Duration::from_nanos(now), hash, who, what, whom, result, is_told });
        }
    }
}

fn digest(now: u64, texts: [&str; 4]) -> u64 {
    let mut digest = mixed(now);
    for text in texts {
        // Length first: no two events read the same.
        digest = mixed(digest ^ text.len() as u64);
        for chunk in text.as_bytes().chunks(8) {
            let mut bytes = [0; 8];
            bytes[..chunk.len()].copy_from_slice(chunk);
            digest = mixed(digest ^ u64::from_le_bytes(bytes));
        }
    }
    digest
}
