//! A run: a scenario in virtual time, to its end or until nothing moves.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use bus::Seams;
use jiff::Timestamp;
use slab::Slab;

use crate::chance::Chance;
use crate::chronicle::{Chronicle, Event};
use crate::clock::VirtualClock;

/// When every world begins: the day the order system was recorded, in seconds since 1970.
const BEGIN_SECOND: i64 = 1_756_655_436;

/// Clock, dice and chronicle of a run. Clones are the same world.
#[derive(Clone, Debug)]
pub struct World {
    seed: u64,
    clock: Arc<VirtualClock>,
    chance: Arc<Chance>,
    chronicle: Chronicle,
    waiting: Arc<Waiting>,
}

/// Who waits for what, in no order.
#[derive(Debug, Default)]
pub(crate) struct Waiting(Mutex<Slab<(&'static str, &'static str)>>);

/// One call that has not returned.
#[derive(Debug)]
pub(crate) struct Open {
    waiting: Arc<Waiting>,
    place: usize,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.waiting.0.lock().unwrap_or_else(PoisonError::into_inner).remove(self.place);
    }
}

impl World {
    fn new(seed: u64, keeps_lines: bool) -> Self {
        let clock = VirtualClock::starting_at(Timestamp::from_second(BEGIN_SECOND).unwrap_or(Timestamp::UNIX_EPOCH));
        let chronicle = Chronicle::new(Arc::clone(&clock), keeps_lines);
        Self { seed, clock, chance: Arc::new(Chance::new(seed)), chronicle, waiting: Arc::default() }
    }

    /// The seed of the run.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The world's own clock and dice, for brokers and scenarios.
    #[must_use]
    pub fn seams(&self) -> Seams {
        Seams { clock: Arc::clone(&self.clock) as _, entropy: Arc::clone(&self.chance) as _ }
    }

    /// The time.
    #[must_use]
    pub fn clock(&self) -> &Arc<VirtualClock> {
        &self.clock
    }

    /// The dice.
    #[must_use]
    pub fn chance(&self) -> &Arc<Chance> {
        &self.chance
    }

    /// What happened.
    #[must_use]
    pub fn chronicle(&self) -> &Chronicle {
        &self.chronicle
    }

    /// Notes that somebody waits for something until the answer is dropped.
    pub(crate) fn waits(&self, who: &'static str, what: &'static str) -> Open {
        let place = self.waiting.0.lock().unwrap_or_else(PoisonError::into_inner).insert((who, what));
        Open { waiting: Arc::clone(&self.waiting), place }
    }

    fn who_waits(&self) -> Vec<String> {
        let waiting = self.waiting.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut names: Vec<String> = waiting.iter().map(|(_, (who, what))| format!("{who}: {what}")).collect();
        names.sort_unstable();
        names
    }
}

/// A scenario that did not end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stuck {
    /// Nothing moves any more, or nothing but retries until the horizon.
    Waiting {
        /// Who waits for what.
        who: Vec<String>,
    },
    /// It panicked: the text.
    Panicked(String),
}

impl std::fmt::Display for Stuck {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Waiting { who } => write!(f, "stuck, waiting: {}", who.join("; ")),
            Self::Panicked(text) => write!(f, "panicked: {text}"),
        }
    }
}

/// What became of a run.
#[derive(Clone, Debug)]
pub struct Run<T> {
    /// What the scenario answered, or why it did not end.
    pub ended: Result<T, Stuck>,
    /// The rolling hash over all events.
    pub hash: u64,
    /// The same without what was only [noted aside](Chronicle::note_aside).
    pub plain_hash: u64,
    /// How many events there were.
    pub event_count: u64,
    /// How long it took in virtual time.
    pub virtual_time: Duration,
    /// Everything that happened, where it was asked for.
    pub events: Vec<Event>,
}

/// Runs `scenario` in a world of its own, for at most `horizon` of virtual time.
///
/// On the calling thread, which must not be in a runtime.
pub fn simulate<T>(seed: u64, horizon: Duration, scenario: impl AsyncFnOnce(World) -> T) -> Run<T> {
    run(seed, horizon, false, scenario)
}

/// The same with a line for every event.
pub fn simulate_with_lines<T>(seed: u64, horizon: Duration, scenario: impl AsyncFnOnce(World) -> T) -> Run<T> {
    run(seed, horizon, true, scenario)
}

fn run<T>(seed: u64, horizon: Duration, keeps_lines: bool, scenario: impl AsyncFnOnce(World) -> T) -> Run<T> {
    let world = World::new(seed, keeps_lines);
    let ended = catch_unwind(AssertUnwindSafe(|| {
        // No timer and no sockets: whoever wants tokio's finds out at once. With one look at the
        // outside in four thousand million polls, a yield comes after everything that can run.
        let runtime = tokio::runtime::Builder::new_current_thread().event_interval(u32::MAX).build();
        let runtime = runtime.expect("a runtime without drivers can always be built");
        runtime.block_on(direct(&world, horizon, scenario(world.clone())))
    }));
    Run {
        ended: ended.unwrap_or_else(|panic| Err(Stuck::Panicked(text_of(&*panic)))),
        hash: world.chronicle.hash(),
        plain_hash: world.chronicle.plain_hash(),
        event_count: world.chronicle.event_count(),
        virtual_time: Duration::from_nanos(world.clock.nanoseconds()),
        events: world.chronicle.events(),
    }
}

/// Whether the scenario was woken.
struct Called(AtomicBool);

impl Wake for Called {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Release);
    }
}

/// One event at a time: everything runs until it waits, then time moves on to the next who is due.
async fn direct<T>(world: &World, horizon: Duration, scenario: impl Future<Output = T>) -> Result<T, Stuck> {
    let horizon = u64::try_from(horizon.as_nanos()).unwrap_or(u64::MAX);
    let called = Arc::new(Called(AtomicBool::new(true)));
    let waker = Waker::from(Arc::clone(&called));
    let mut scenario = pin!(scenario);
    loop {
        while called.0.swap(false, Ordering::AcqRel) {
            if let Poll::Ready(output) = scenario.as_mut().poll(&mut Context::from_waker(&waker)) {
                return Ok(output);
            }
            // Every task that can run does, and may call the scenario.
            tokio::task::yield_now().await;
        }
        if !world.clock.advance() || world.clock.nanoseconds() > horizon {
            return Err(Stuck::Waiting { who: world.who_waits() });
        }
        tokio::task::yield_now().await;
    }
}

fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("without a message").to_owned()
}
