//! What is held: nacked deliveries until they are due, and those that wait behind them.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::{Delivery, ExtendOutcome, MessageKey, Moment, Settlement, Token, Unsettled};

/// By how much a lease is extended beyond the delay it has to cover, so that it does not end first.
const GRACE: Duration = Duration::from_secs(1);

/// Shortest time between two attempts to extend a lease.
const EXTENSION_PAUSE_MIN: Duration = Duration::from_millis(100);

/// The deliveries one receiver holds back.
#[derive(Debug)]
pub(super) struct Hold {
    state: Mutex<State>,
    keeps_order: bool,
    /// Wakes those who wait: something is due earlier than they know.
    pub(super) changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Nacked, by the moment they are due and then as nacked.
    heads: BTreeMap<(Moment, u64), Head>,
    /// Keys with a head, on a bus that keeps their order.
    lanes: BTreeMap<MessageKey, Lane>,
    last_number: u64,
}

#[derive(Debug)]
struct Head {
    settlement: Settlement,
    key: Option<MessageKey>,
    lease: HeldLease,
}

/// What came of a key while a head of it was held: later messages, in their order.
#[derive(Debug, Default)]
struct Lane {
    head_count: usize,
    /// When its last head is due.
    until: Moment,
    followers: Vec<(Unsettled, HeldLease)>,
}

/// The lease of a held delivery.
#[derive(Clone, Copy, Debug)]
struct HeldLease {
    deadline: Option<Moment>,
    /// When to extend it; `None`: it lasts.
    extend_at: Option<Moment>,
}

/// What is no longer held.
#[derive(Debug, Default)]
pub(super) struct Freed {
    /// To be given back as received and not processed: dropping them does that.
    pub(super) heads: Vec<Settlement>,
    /// To be given back as if they had never come.
    pub(super) followers: Vec<Unsettled>,
}

/// A nack to be held.
pub(super) struct Nacked {
    pub(super) settlement: Settlement,
    pub(super) key: Option<MessageKey>,
    pub(super) due: Moment,
    pub(super) deadline: Option<Moment>,
}

impl Hold {
    pub(super) fn new(keeps_order: bool) -> Self {
        Self { state: Mutex::default(), keeps_order, changed: Notify::new() }
    }

    /// Holds a nack until it is due. Its lease, if it ends before that, is extended by the next
    /// [`to_extend`](Self::to_extend) after `now` unless the caller does it.
    pub(super) fn hold(&self, nacked: Nacked, now: Moment) {
        let Nacked { settlement, key, due, deadline } = nacked;
        let key = key.filter(|_| self.keeps_order);
        let mut state = self.state();
        if let Some(key) = &key {
            let lane = state.lanes.entry(key.clone()).or_default();
            lane.head_count += 1;
            lane.until = lane.until.max(due);
        }
        state.last_number += 1;
        let number = state.last_number;
        let lease = HeldLease::until(due, deadline, now);
        state.heads.insert((due, number), Head { settlement, key, lease });
    }

    /// Keeps a delivery behind the head of its key, or hands it back if there is none.
    pub(super) fn withhold(&self, delivery: Delivery, now: Moment) -> Option<Delivery> {
        let mut state = self.state();
        let Some(lane) = delivery.message().key().and_then(|key| state.lanes.get_mut(key)) else {
            return Some(delivery);
        };
        let deadline = delivery.lease().deadline;
        let mut lease = HeldLease::until(lane.until, deadline, now);
        // At once: nobody has asked whether it is possible.
        lease.extend_at = lease.extend_at.map(|_| now);
        let (_, unsettled) = delivery.split();
        lane.followers.push((unsettled, lease));
        None
    }

    /// Whether a delivery that comes now may have to wait.
    pub(super) fn has_lanes(&self) -> bool {
        !self.state().lanes.is_empty()
    }

    /// What is due by `now`, with those whose last head that was.
    pub(super) fn take_due(&self, now: Moment) -> Freed {
        let mut state = self.state();
        let mut freed = Freed::default();
        while let Some(first) = state.heads.first_entry()
            && first.key().0 <= now
        {
            let head = first.remove();
            state.leave(&head);
            freed.heads.push(head.settlement);
        }
        for lane in state.take_open_lanes() {
            freed.followers.extend(lane.followers.into_iter().map(|(unsettled, _)| unsettled));
        }
        freed
    }

    /// The leases to extend by `now`, and by how much. Each is tried again half-way to its end.
    pub(super) fn to_extend(&self, now: Moment) -> (Vec<Token>, Duration) {
        let mut state = self.state();
        let (mut tokens, mut until) = (Vec::new(), now);
        for (token, due, lease) in state.leases() {
            if lease.extend_at.is_some_and(|at| at <= now) {
                lease.extend_at = lease.deadline.map(|deadline| half_way(now, deadline));
                until = until.max(due);
                tokens.push(token);
            }
        }
        (tokens, until.since(now) + GRACE)
    }

    /// How long to ask for, so that `due` is covered.
    pub(super) fn extension(due: Moment, now: Moment) -> Duration {
        due.since(now) + GRACE
    }

    /// What came of an extension. A lease that can be held no longer is taken out and handed back.
    pub(super) fn extended(&self, token: Token, outcome: &ExtendOutcome, now: Moment) -> Option<Unsettled> {
        let mut state = self.state();
        match outcome {
            ExtendOutcome::Until(deadline) => {
                let found = state.leases().find(|(held, ..)| *held == token);
                if let Some((_, due, lease)) = found {
                    *lease = HeldLease::until(due, Some(*deadline), now);
                }
                None
            }
            // It is tried again half-way to its end.
            ExtendOutcome::Failed(_) => None,
            ExtendOutcome::Capped | ExtendOutcome::LeaseLost => state.take(token),
        }
    }

    /// Takes a delivery out, if it is held.
    pub(super) fn take(&self, token: Token) -> Option<Unsettled> {
        self.state().take(token)
    }

    /// Takes everything out.
    pub(super) fn take_all(&self) -> Freed {
        let State { heads, lanes, .. } = std::mem::take(&mut *self.state());
        let followers = lanes.into_values().flat_map(|lane| lane.followers);
        Freed {
            heads: heads.into_values().map(|head| head.settlement).collect(),
            followers: followers.map(|(unsettled, _)| unsettled).collect(),
        }
    }

    /// When there is something to do next.
    pub(super) fn next_event(&self) -> Option<Moment> {
        let mut state = self.state();
        if state.lanes.values().any(|lane| lane.head_count == 0) {
            return Some(Moment::default());
        }
        let due = state.heads.first_key_value().map(|((due, _), _)| *due);
        let extend_at = state.leases().filter_map(|(.., lease)| lease.extend_at).min();
        [due, extend_at].into_iter().flatten().min()
    }

    /// How many nacked deliveries are held, and how many wait behind them.
    pub(super) fn counts(&self) -> (usize, usize) {
        let state = self.state();
        (state.heads.len(), state.lanes.values().map(|lane| lane.followers.len()).sum())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Everything held, with the moment until which it is.
    fn leases(&mut self) -> impl Iterator<Item = (Token, Moment, &mut HeldLease)> {
        let heads = self.heads.iter_mut().map(|((due, _), head)| (head.settlement.token(), *due, &mut head.lease));
        let followers = self.lanes.values_mut().flat_map(|lane| {
            let until = lane.until;
            lane.followers.iter_mut().map(move |(unsettled, lease)| (unsettled.token(), until, lease))
        });
        heads.chain(followers)
    }

    fn take(&mut self, token: Token) -> Option<Unsettled> {
        let place = self.heads.iter().find(|(_, head)| head.settlement.token() == token).map(|(place, _)| *place);
        if let Some(head) = place.and_then(|place| self.heads.remove(&place)) {
            self.leave(&head);
            return Some(head.settlement.undecided());
        }
        self.lanes.values_mut().find_map(|lane| {
            let at = lane.followers.iter().position(|(unsettled, _)| unsettled.token() == token)?;
            Some(lane.followers.remove(at).0)
        })
    }

    fn leave(&mut self, head: &Head) {
        if let Some(lane) = head.key.as_ref().and_then(|key| self.lanes.get_mut(key)) {
            lane.head_count -= 1;
        }
    }

    /// Lanes whose heads are gone.
    fn take_open_lanes(&mut self) -> Vec<Lane> {
        self.lanes.extract_if(.., |_, lane| lane.head_count == 0).map(|(_, lane)| lane).collect()
    }
}

impl HeldLease {
    /// A lease that has to last until `due`.
    fn until(due: Moment, deadline: Option<Moment>, now: Moment) -> Self {
        let ends_first = deadline.filter(|deadline| *deadline < due);
        Self { deadline, extend_at: ends_first.map(|deadline| half_way(now, deadline)) }
    }
}

fn half_way(now: Moment, deadline: Moment) -> Moment {
    now + (deadline.since(now) / 2).max(EXTENSION_PAUSE_MIN)
}
