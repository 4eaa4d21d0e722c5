//! Virtual time: nanoseconds, and a heap of who waits until when.
//!
//! Tokio's paused time has a granularity of a millisecond and moves by itself; here the order of
//! events is exact, one at a time, and time moves when nothing else can.

use std::cmp;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;
use bus::{Clock, Moment};
use jiff::{SignedDuration, Timestamp};

/// The time of a world.
#[derive(Debug)]
pub struct VirtualClock {
    start: Timestamp,
    /// Nanoseconds since the start.
    now: AtomicU64,
    /// The number of the sleeper that was woken last: it was due at `now`.
    last_woken: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    last_sleeper: u64,
    /// By deadline, then in the order in which they came.
    sleepers: BTreeMap<(u64, u64), Waker>,
}

impl VirtualClock {
    pub(crate) fn starting_at(start: Timestamp) -> Arc<Self> {
        Arc::new(Self { start, now: AtomicU64::new(0), last_woken: AtomicU64::new(0), state: Mutex::default() })
    }

    /// Nanoseconds since the start.
    #[must_use]
    pub fn nanoseconds(&self) -> u64 {
        self.now.load(Ordering::Acquire)
    }

    /// Waits for so many nanoseconds: what [`ClockExt::sleep`](bus::ClockExt::sleep) does, without a box.
    pub(crate) async fn wait(&self, nanoseconds: u64) {
        let deadline = self.nanoseconds().saturating_add(nanoseconds);
        Sleep { clock: self, deadline, place: None }.await;
    }

    /// Moves on to the first who waits and wakes it. False: nobody waits.
    pub(crate) fn advance(&self) -> bool {
        let first = self.state().sleepers.pop_first();
        let Some(((deadline, number), waker)) = first else { return false };
        // Whoever waits is due later than now: who is due now does not wait.
        self.last_woken.store(number, Ordering::Release);
        self.now.store(deadline, Ordering::Release);
        // Woken outside of the lock: a waker may drop a sleep.
        waker.wake();
        true
    }

    /// Whether the sleeper at this place was woken: they are, in the order of their places.
    fn has_woken(&self, (deadline, number): (u64, u64)) -> bool {
        match deadline.cmp(&self.nanoseconds()) {
            cmp::Ordering::Less => true,
            cmp::Ordering::Equal => number <= self.last_woken.load(Ordering::Acquire),
            cmp::Ordering::Greater => false,
        }
    }

    async fn sleep_until_moment(&self, deadline: Moment) {
        let deadline = u64::try_from(deadline.since_origin().as_nanos()).unwrap_or(u64::MAX);
        Sleep { clock: self, deadline, place: None }.await;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Clock for VirtualClock {
    fn wall(&self) -> Timestamp {
        self.start.saturating_add(Duration::from_nanos(self.nanoseconds())).unwrap_or(self.start)
    }

    fn now(&self) -> Moment {
        Moment::from_origin(Duration::from_nanos(self.nanoseconds()))
    }

    async fn sleep_until(&self, deadline: Moment) {
        self.sleep_until_moment(deadline).await;
    }
}

struct Sleep<'a> {
    clock: &'a VirtualClock,
    deadline: u64,
    /// Where it stands among the sleepers.
    place: Option<(u64, u64)>,
}

impl Future for Sleep<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.clock.nanoseconds() >= self.deadline {
            return Poll::Ready(());
        }
        let mut state = self.clock.state();
        let place = self.place.unwrap_or_else(|| {
            state.last_sleeper += 1;
            (self.deadline, state.last_sleeper)
        });
        match state.sleepers.entry(place) {
            Entry::Vacant(empty) => {
                empty.insert(context.waker().clone());
            }
            // Asked again without being due: most often by the same task.
            Entry::Occupied(mut sleeper) => sleeper.get_mut().clone_from(context.waker()),
        }
        drop(state);
        self.place = Some(place);
        Poll::Pending
    }
}

impl Drop for Sleep<'_> {
    fn drop(&mut self) {
        if let Some(place) = self.place.filter(|place| !self.clock.has_woken(*place)) {
            let waker = self.clock.state().sleepers.remove(&place);
            drop(waker);
        }
    }
}

/// The clock of one process: the world's time, and a calendar of its own that may be wrong.
#[derive(Debug)]
pub struct NodeClock {
    world: Arc<VirtualClock>,
    ahead_by: Mutex<SignedDuration>,
}

impl NodeClock {
    /// A calendar that is right.
    #[must_use]
    pub fn new(world: Arc<VirtualClock>) -> Arc<Self> {
        Arc::new(Self { world, ahead_by: Mutex::default() })
    }

    /// From now on the calendar is ahead of the world's by `ahead_by`, or behind.
    pub fn set_ahead(&self, ahead_by: SignedDuration) {
        *self.ahead_by.lock().unwrap_or_else(PoisonError::into_inner) = ahead_by;
    }
}

#[async_trait]
impl Clock for NodeClock {
    fn wall(&self) -> Timestamp {
        let ahead_by = *self.ahead_by.lock().unwrap_or_else(PoisonError::into_inner);
        let wall = self.world.wall();
        wall.saturating_add(ahead_by).unwrap_or(wall)
    }

    fn now(&self) -> Moment {
        self.world.now()
    }

    async fn sleep_until(&self, deadline: Moment) {
        self.world.sleep_until_moment(deadline).await;
    }
}
