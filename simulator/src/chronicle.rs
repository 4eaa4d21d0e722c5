//! What happened, in order, as a rolling hash; and as lines for who asks for them.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
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
pub struct Chronicle(Arc<Pages>);

/// A world is on one thread: nobody else writes between a load and a store.
#[derive(Debug)]
struct Pages {
    clock: Arc<VirtualClock>,
    hash: AtomicU64,
    /// The same without what was only noted aside.
    plain_hash: AtomicU64,
    count: AtomicU64,
    /// Where they are kept.
    kept: Option<Mutex<Vec<Event>>>,
}

impl Chronicle {
    pub(crate) fn new(clock: Arc<VirtualClock>, keeps_lines: bool) -> Self {
        let (hash, plain_hash, count) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
        Self(Arc::new(Pages { clock, hash, plain_hash, count, kept: keeps_lines.then(Mutex::default) }))
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

    fn write(&self, texts: [&str; 4], is_event: bool) {
        let now = self.0.clock.nanoseconds();
        let digest = digest_of_event(now, texts);
        let add = |hash: &AtomicU64| hash.store(mixed(hash.load(Ordering::Relaxed) ^ digest), Ordering::Relaxed);
        add(&self.0.hash);
        if is_event {
            add(&self.0.plain_hash);
        }
        self.0.count.store(self.event_count() + 1, Ordering::Relaxed);
        self.keep(now, texts, false);
    }

    /// Tells, where lines are kept, more of what happened: to whom, and with what result. It is no event.
    pub fn tell(&self, who: &str, what: &str, detail: impl FnOnce() -> [String; 2]) {
        if self.is_kept() {
            let [whom, result] = detail();
            self.keep(self.0.clock.nanoseconds(), [who, what, &whom, &result], true);
        }
    }

    fn keep(&self, now: u64, texts: [&str; 4], is_told: bool) {
        if let Some(mut kept) = self.kept() {
            let [who, what, whom, result] = texts.map(str::to_owned);
            let (at, hash) = (Duration::from_nanos(now), self.hash());
            kept.push(Event { at, hash, who, what, whom, result, is_told });
        }
    }

    /// The hash over all events so far, without what was noted aside.
    #[must_use]
    pub fn plain_hash(&self) -> u64 {
        self.0.plain_hash.load(Ordering::Relaxed)
    }

    /// The hash over all events so far.
    #[must_use]
    pub fn hash(&self) -> u64 {
        self.0.hash.load(Ordering::Relaxed)
    }

    /// How many events there were.
    #[must_use]
    pub fn event_count(&self) -> u64 {
        self.0.count.load(Ordering::Relaxed)
    }

    /// Whether events are kept.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.0.kept.is_some()
    }

    /// Everything that happened and was told; empty unless lines are kept.
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        self.kept().map(|kept| kept.clone()).unwrap_or_default()
    }

    fn kept(&self) -> Option<MutexGuard<'_, Vec<Event>>> {
        self.0.kept.as_ref().map(|kept| kept.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn digest_of_event(now: u64, texts: [&str; 4]) -> u64 {
    texts.iter().fold(mixed(now), |sum, text| add(sum, text.as_bytes()))
}

/// 64 bits that change with every byte: of a body, which is too long for a line.
pub(crate) fn digest(bytes: &[u8]) -> u64 {
    add(0, bytes)
}

fn add(sum: u64, bytes: &[u8]) -> u64 {
    // Length first: no two events read the same.
    bytes.chunks(8).fold(mixed(sum ^ bytes.len() as u64), |sum, chunk| {
        let mut padded = [0; 8];
        padded[..chunk.len()].copy_from_slice(chunk);
        mixed(sum ^ u64::from_le_bytes(padded))
    })
}
