//! Virtual time: nanoseconds, and a heap of who waits until when.
//!
//! Tokio's paused time has a granularity of a millisecond and moves by itself; here the order of
//! events is exact, one at a time, and time moves when nothing else can.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::future::Future;
use std::pin::Pin;
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
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Nanoseconds since the start.
    now: u64,
    last_sleeper: u64,
    /// By deadline, then in the order in which they came.
    sleepers: BTreeMap<(u64, u64), Waker>,
}

impl VirtualClock {
    pub(crate) fn starting_at(start: Timestamp) -> Arc<Self> {
        Arc::new(Self { start, state: Mutex::default() })
    }

    /// Nanoseconds since the start.
    #[must_use]
    pub fn nanoseconds(&self) -> u64 {
        self.state().now
    }

    /// Waits for so many nanoseconds: what [`ClockExt::sleep`](bus::ClockExt::sleep) does, without a box.
    pub(crate) async fn wait(&self, nanoseconds: u64) {
        let deadline = self.nanoseconds().saturating_add(nanoseconds);
        Sleep { clock: self, deadline, place: None }.await;
    }

    /// Moves on to the first who waits and wakes it. False: nobody waits.
    pub(crate) fn advance(&self) -> bool {
        let first = {
            let mut state = self.state();
            let first = state.sleepers.pop_first();
            if let Some(((deadline, _), _)) = &first {
                state.now = state.now.max(*deadline);
            }
            first
        };
        // Woken outside of the lock: a waker may drop a sleep.
        first.map(|(_, waker)| waker.wake()).is_some()
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
        let deadline = u64::try_from(deadline.since_origin().as_nanos()).unwrap_or(u64::MAX);
        Sleep { clock: self, deadline, place: None }.await;
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
        let mut state = self.clock.state();
        if state.now >= self.deadline {
            return Poll::Ready(());
        }
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
        if let Some(place) = self.place {
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
        self.world.sleep_until(deadline).await;
    }
}
