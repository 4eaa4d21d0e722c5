//! One group's queue of one destination.
//!
//! A queue is one mutex around a [`State`], taken once per batch and never held over I/O or an
//! await; publishers leave their batches beside it. There is no task behind it: whoever waits in
//! `receive` or `lost` arms a timer for the first deadline and carries out what is due. Whoever
//! comes first does it for all.

mod hand_out;
mod incoming;
mod lanes;
mod leases;
mod purge;
mod ready;
mod room;
mod settle;
mod slot;
mod state;
mod take_back;
mod waste;
mod watch;

use std::sync::{Arc, Mutex, PoisonError};

use bus::{Clock, Delivery, Depth, Message, Moment, Returns, Subscription, Token};
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use self::incoming::{Batch, Incoming};
use self::waste::Waste;
use crate::MemoryOptions;

pub(crate) use self::hand_out::HandedOut;
pub(crate) use self::room::{Closed, Load, Room};
pub(crate) use self::settle::{Buried, Graves};
pub(crate) use self::slot::LaneKey;
pub(crate) use self::state::{Draft, State};

/// A queue and those who wait for it.
pub(crate) struct Queue {
    subscription: Subscription,
    /// Names the queue in tokens and on disk.
    number: u32,
    clock: Arc<dyn Clock>,
    room: Room,
    incoming: Incoming,
    waste: Waste,
    state: Mutex<State>,
    /// Wakes those in `receive`.
    arrived: Notify,
    /// Wakes those in `lost`.
    expired: Notify,
}

impl Queue {
    pub(crate) fn new(subscription: Subscription, number: u32, clock: Arc<dyn Clock>, options: &MemoryOptions) -> Self {
        Self {
            subscription,
            number,
            clock,
            room: Room::new(options.capacity_count, options.capacity_bytes),
            incoming: Incoming::default(),
            waste: Waste::default(),
            state: Mutex::new(State::new(number, options)),
            arrived: Notify::new(),
            expired: Notify::new(),
        }
    }

    pub(crate) fn subscription(&self) -> &Subscription {
        &self.subscription
    }

    pub(crate) fn number(&self) -> u32 {
        self.number
    }

    pub(crate) fn room(&self) -> &Room {
        &self.room
    }

    /// Runs `work` on the state, then wakes whom it concerns, after the lock is released.
    pub(crate) fn with<R>(&self, work: impl FnOnce(&mut State) -> R) -> R {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let result = work(&mut state);
        let is_arrived = state.arrived.take_call();
        let is_expired = state.expired.take_call();
        drop(state);
        if is_arrived {
            self.arrived.notify_waiters();
        }
        if is_expired {
            self.expired.notify_waiters();
        }
        result
    }

    /// The same, with what was accepted sorted in and what is due by now carried out.
    pub(crate) fn with_now<R>(&self, work: impl FnOnce(&mut State, Moment) -> R) -> R {
        let now = self.clock.now();
        self.with(|state| {
            state.sort_in(&self.incoming);
            state.advance(now);
            work(state, now)
        })
    }

    /// Puts accepted messages, for which room was reserved, on the queue.
    pub(crate) fn accept(&self, drafts: Vec<Draft>) {
        self.waste.free();
        let is_delayed = drafts.iter().any(|draft| !draft.delay.is_zero());
        let accepted_at = is_delayed.then(|| self.clock.now());
        if self.incoming.push(Batch { drafts, accepted_at }) {
            self.arrived.notify_waiters();
        }
    }

    /// Takes leave of settled messages and of the room they took.
    pub(crate) fn discard(&self, messages: Vec<Message>, load: Load) {
        self.room.release(load);
        self.waste.leave(messages, load);
    }

    /// How many messages are where.
    pub(crate) fn depth(&self) -> Depth {
        self.with_now(|state, _| state.depth())
    }

    /// Waits for at least one delivery, or for the receiver to be stopped.
    pub(crate) async fn receive(
        self: &Arc<Self>,
        consumer: u32,
        max: usize,
        into: &mut Vec<Delivery>,
    ) -> bus::Result<()> {
        // A receiver that never has to wait still lets other tasks have their turn.
        tokio::task::coop::consume_budget().await;
        let returns: Arc<dyn Returns> = Arc::clone(self) as Arc<dyn Returns>;
        loop {
            // Made before the look, so that no call between the look and the wait is missed.
            let arrived = self.arrived.notified();
            let handed_out = self.with_now(|state, now| state.hand_out(consumer, max, now, &returns, into));
            match handed_out {
                HandedOut::Some => return Ok(()),
                HandedOut::Stopped => {
                    let text = "this receiver was stopped";
                    return Err(bus::Error::new(bus::ErrorKind::Closed, "receive", text));
                }
                HandedOut::None { timer } if self.incoming.may_sleep() => self.wait(arrived, timer).await,
                HandedOut::None { .. } => {}
            }
        }
    }

    /// Waits until the receiver has lost leases.
    pub(crate) async fn lost(&self, consumer: u32) -> Vec<Token> {
        loop {
            let expired = self.expired.notified();
            let (lost, timer) = self.with_now(|state, _| state.take_lost(consumer));
            if !lost.is_empty() {
                return lost;
            }
            self.wait(expired, timer).await;
        }
    }

    async fn wait(&self, call: Notified<'_>, timer: Option<Moment>) {
        let Some(deadline) = timer else { return call.await };
        tokio::select! {
            biased;
            () = call => {}
            () = self.clock.sleep_until(deadline) => {}
        }
    }
}

impl Returns for Queue {
    fn give_back(&self, token: Token) {
        self.with(|state| state.give_back(token));
    }
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queue").field("subscription", &self.subscription).finish_non_exhaustive()
    }
}
