//! One receiver on the line, over all the connections it sees.
//!
//! A delivery is named by its place here and the number of its connection, so that a token of an
//! earlier connection fits no later one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bus::{Bus, Delivery, Receiver, Returns, SubscribeOptions, Subscription, Token, Unsettled};
use tokio::sync::Notify;

use super::line::Line;

pub(super) struct Session {
    pub(super) line: Arc<Line>,
    subscription: Subscription,
    options: SubscribeOptions,
    state: Mutex<State>,
    /// Called when a connection broke, was stalled or made, and at the end.
    pub(super) changed: Notify,
}

struct State {
    number: u64,
    /// The broker's side of the connection, while there is one.
    remote: Option<Arc<dyn Receiver>>,
    held: BTreeMap<u64, Unsettled>,
    last_slot: u64,
    lost: Vec<Token>,
    is_stopped: bool,
    is_closed: bool,
}

impl Session {
    pub(super) fn open(
        line: Arc<Line>,
        subscription: Subscription,
        options: SubscribeOptions,
        number: u64,
        remote: Arc<dyn Receiver>,
    ) -> Arc<Self> {
        let state = State {
            number,
            remote: Some(remote),
            held: BTreeMap::new(),
            last_slot: 0,
            lost: Vec::new(),
            is_stopped: false,
            is_closed: false,
        };
        Arc::new(Self { line, subscription, options, state: Mutex::new(state), changed: Notify::new() })
    }

    /// The connection is gone, and with it what was in hand.
    pub(super) fn broke(&self) {
        let gone = {
            let mut state = self.state();
            let held = std::mem::take(&mut state.held);
            let number = state.number;
            state.lost.extend(held.keys().map(|slot| Token { slot: *slot, epoch: number }));
            (state.remote.take(), held)
        };
        if gone.0.is_some() {
            tracing::warn!(subscription = %self.subscription, lost_count = gone.1.len(), "the connection broke");
        }
        drop(gone);
        self.look_again();
    }

    pub(super) fn look_again(&self) {
        self.changed.notify_waiters();
    }

    pub(super) fn stop(&self) {
        let remote = {
            let mut state = self.state();
            state.is_stopped = true;
            state.remote.clone()
        };
        if let Some(remote) = remote {
            remote.stop();
        }
        self.look_again();
    }

    /// The receiver or its bus was closed.
    pub(super) fn end(&self) {
        self.stop();
        self.state().is_closed = true;
        self.broke();
    }

    /// The broker's side, connected anew if need be; `None`: not now.
    pub(super) async fn remote(&self) -> Option<(u64, Arc<dyn Receiver>)> {
        {
            let state = self.state();
            if state.is_closed {
                return None;
            }
            if let Some(remote) = &state.remote {
                return Some((state.number, Arc::clone(remote)));
            }
        }
        let connection = self.line.connection().ok()?;
        self.line.count_call();
        // An error is not told: the subscription may have to be declared again first.
        let remote = connection.broker.subscribe(&self.subscription, self.options).await.ok()?;
        let mut state = self.state();
        if state.is_closed || !self.line.is_up(connection.number) {
            return None;
        }
        state.number = connection.number;
        state.remote = Some(Arc::clone(&remote));
        self.changed.notify_waiters();
        Some((connection.number, remote))
    }

    /// Gives deliveries names of this side; nothing when their connection is gone by now.
    pub(super) fn take_in(self: &Arc<Self>, number: u64, found: Vec<Delivery>, into: &mut Vec<Delivery>) {
        let mut state = self.state();
        if state.number != number || state.remote.is_none() {
            drop(state);
            return drop(found);
        }
        for delivery in found {
            let (lease, count) = (delivery.lease(), delivery.receive_count());
            let (message, unsettled) = delivery.split();
            state.last_slot += 1;
            let slot = state.last_slot;
            state.held.insert(slot, unsettled);
            let token = Token { slot, epoch: number };
            into.push(Delivery::new(message, token, lease, count, Arc::clone(self) as Arc<dyn Returns>));
        }
    }

    /// What was lost and not yet told.
    pub(super) fn take_lost(&self) -> Vec<Token> {
        std::mem::take(&mut self.state().lost)
    }

    /// The broker has told of lost leases.
    pub(super) fn lose(&self, remote_tokens: &[Token]) {
        let mut state = self.state();
        let State { held, lost, number, .. } = &mut *state;
        held.retain(|slot, unsettled| {
            let is_held = !remote_tokens.contains(&unsettled.token());
            if !is_held {
                lost.push(Token { slot: *slot, epoch: *number });
            }
            is_held
        });
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.state().is_stopped
    }

    /// Takes the broker's side of a delivery, if it is still in hand.
    pub(super) fn take_out(&self, token: Token) -> Option<Unsettled> {
        let mut state = self.state();
        (state.number == token.epoch).then(|| state.held.remove(&token.slot)).flatten()
    }

    /// The broker's name for a delivery in hand.
    pub(super) fn remote_token(&self, token: Token) -> Option<Token> {
        let state = self.state();
        let held = state.held.get(&token.slot).filter(|_| state.number == token.epoch);
        held.map(Unsettled::token)
    }

    pub(super) fn current(&self) -> Option<(u64, Arc<dyn Receiver>)> {
        let state = self.state();
        state.remote.clone().map(|remote| (state.number, remote))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Returns for Session {
    fn give_back(&self, token: Token) {
        drop(self.take_out(token));
    }
}
