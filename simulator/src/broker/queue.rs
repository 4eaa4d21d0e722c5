//! One subscription: what waits, what is out, what comes back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bus::{Depth, Message, Moment, SubscribeOptions, Token};
use tokio::sync::Notify;

use super::{Interference, Selection, Semantics};
use crate::chance::hash;

/// Places in a queue, far enough apart for a scattered one to lie between others.
const STRIDE: u64 = 16;

#[derive(Debug)]
pub(super) struct Queue {
    arrived_count: u64,
    epoch: u64,
    /// By place.
    pub(super) entries: BTreeMap<u64, Entry>,
    pub(super) members: BTreeMap<u64, Member>,
    /// Called when something may be handed out, or a member is to go.
    pub(super) moved: Arc<Notify>,
    /// Called when a lease has ended.
    pub(super) lost: Arc<Notify>,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) message: Message,
    pub(super) visible_at: Moment,
    pub(super) receive_count: u32,
    pub(super) hold: Option<Hold>,
    /// Settled by this member, above what is committed.
    pub(super) settled_by: Option<u64>,
    /// Names its key.
    pub(super) lane: u64,
    pub(super) partition: u64,
}

/// Who has a message, and until when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hold {
    pub(super) member: u64,
    pub(super) epoch: u64,
    pub(super) deadline: Option<Moment>,
    pub(super) began: Moment,
}

#[derive(Debug)]
pub(super) struct Member {
    pub(super) connection: u64,
    prefetch_count_max: usize,
    lease: Option<Duration>,
    pub(super) is_stopped: bool,
    pub(super) held: BTreeSet<u64>,
    pub(super) lost: Vec<Token>,
}

/// What leaves with a receiver.
pub(super) struct HandOut {
    pub(super) message: Message,
    pub(super) token: Token,
    pub(super) deadline: Option<Moment>,
    pub(super) receive_count: u32,
}

impl Queue {
    pub(super) fn new() -> Self {
        Self {
            arrived_count: 0,
            epoch: 0,
            entries: BTreeMap::new(),
            members: BTreeMap::new(),
            moved: Arc::default(),
            lost: Arc::default(),
        }
    }

    pub(super) fn put(&mut self, message: Message, visible_at: Moment, scatter: u64, semantics: &Semantics) {
        self.arrived_count += 1;
        let mut place = self.arrived_count * STRIDE + scatter;
        while self.entries.contains_key(&place) {
            place += 1;
        }
        // A message without a key is alone in its lane.
        let lane = match message.key() {
            Some(key) => hash(key.as_str().as_bytes()),
            None => hash(message.id().to_string().as_bytes()),
        };
        let partition = match semantics.selection {
            Selection::Partitioned { partition_count } => lane % partition_count,
            _ => 0,
        };
        let entry = Entry { message, visible_at, receive_count: 0, hold: None, settled_by: None, lane, partition };
        self.entries.insert(place, entry);
        self.moved.notify_waiters();
    }

    pub(super) fn subscribe(
        &mut self,
        number: u64,
        connection: u64,
        options: SubscribeOptions,
        lease: Option<Duration>,
    ) {
        let member = Member {
            connection,
            prefetch_count_max: options.prefetch_count_max,
            lease: lease.map(|own| options.lease.unwrap_or(own)),
            is_stopped: false,
            held: BTreeSet::new(),
            lost: Vec::new(),
        };
        self.members.insert(number, member);
        self.moved.notify_waiters();
    }

    /// Ends the leases whose time has come.
    pub(super) fn expire(&mut self, now: Moment) {
        let ended = self.members.values().flat_map(|member| &member.held).copied();
        let ended: Vec<u64> = ended.filter(|place| self.deadline(*place).is_some_and(|end| end <= now)).collect();
        for place in ended {
            self.lose(place);
        }
    }

    fn deadline(&self, place: u64) -> Option<Moment> {
        self.entries.get(&place)?.hold?.deadline
    }

    /// The next time at which something changes by itself for `member`.
    pub(super) fn next_change(&self, now: Moment) -> Option<Moment> {
        let times = self.entries.values().filter_map(|entry| match entry.hold {
            Some(hold) => hold.deadline,
            None if entry.settled_by.is_none() && entry.visible_at > now => Some(entry.visible_at),
            None => None,
        });
        times.min()
    }

    /// What `member` gets now, at most `max`.
    pub(super) fn hand_out(
        &mut self,
        number: u64,
        max: usize,
        now: Moment,
        semantics: &Semantics,
        interference: &dyn Interference,
    ) -> Vec<HandOut> {
        self.expire(now);
        let Some(member) = self.members.get(&number) else { return Vec::new() };
        let room = member.prefetch_count_max.saturating_sub(member.held.len()).min(max);
        if room == 0 || member.is_stopped {
            return Vec::new();
        }
        let lease = member.lease;
        let chosen = self.choose(number, room, now, semantics.selection);
        let mut out = Vec::with_capacity(chosen.len());
        for place in chosen {
            self.epoch += 1;
            let epoch = self.epoch;
            let Some(entry) = self.entries.get_mut(&place) else { continue };
            entry.receive_count += 1;
            let early = interference.early_end(&entry.message, entry.receive_count);
            let deadline = match (early, lease) {
                (Some(early), Some(lease)) => Some(now + early.min(lease)),
                (early, lease) => early.or(lease).map(|length| now + length),
            };
            entry.hold = Some(Hold { member: number, epoch, deadline, began: now });
            out.push(HandOut {
                message: entry.message.clone(),
                token: Token { slot: place, epoch },
                // What the broker will do unasked, nobody is told.
                deadline: lease.map(|lease| now + lease),
                receive_count: entry.receive_count,
            });
            if let Some(member) = self.members.get_mut(&number) {
                member.held.insert(place);
            }
        }
        if !out.is_empty() {
            // Whoever waits for a lease to end has a new one to wait for.
            self.lost.notify_waiters();
        }
        out
    }

    /// The place of a token, if `member` has that delivery.
    pub(super) fn find(&self, member: u64, token: Token) -> Option<u64> {
        let hold = self.entries.get(&token.slot)?.hold?;
        (hold.member == member && hold.epoch == token.epoch).then_some(token.slot)
    }

    /// Takes a message from who has it. It is visible from `visible_at` on.
    pub(super) fn give_back(&mut self, place: u64, visible_at: Moment) {
        let Some(entry) = self.entries.get_mut(&place) else { return };
        let Some(hold) = entry.hold.take() else { return };
        entry.visible_at = visible_at;
        if let Some(member) = self.members.get_mut(&hold.member) {
            member.held.remove(&place);
        }
        self.moved.notify_waiters();
    }

    /// The same, and its holder is told that it is lost.
    pub(super) fn lose(&mut self, place: u64) {
        let Some(hold) = self.entries.get(&place).and_then(|entry| entry.hold) else { return };
        if let Some(member) = self.members.get_mut(&hold.member) {
            member.lost.push(Token { slot: place, epoch: hold.epoch });
        }
        self.give_back(place, hold.began);
        self.lost.notify_waiters();
    }

    /// Everything that is out comes back, and what was settled above what is committed too.
    pub(super) fn take_all_back(&mut self, now: Moment, semantics: &Semantics) {
        let members: Vec<u64> = self.members.keys().copied().collect();
        for member in members {
            self.take_back_from(member, now, semantics);
        }
    }

    /// What `member` has comes back and is told of as lost.
    pub(super) fn take_back_from(&mut self, member: u64, now: Moment, semantics: &Semantics) {
        let held = self.members.get(&member).map(|member| member.held.clone()).unwrap_or_default();
        for place in held {
            self.lose(place);
        }
        if semantics.commits_prefix {
            for entry in self.entries.values_mut().filter(|entry| entry.settled_by == Some(member)) {
                entry.settled_by = None;
                entry.visible_at = now;
            }
        }
        self.moved.notify_waiters();
    }

    /// A member is gone.
    pub(super) fn unsubscribe(&mut self, number: u64, now: Moment, semantics: &Semantics) {
        self.take_back_from(number, now, semantics);
        self.members.remove(&number);
        self.moved.notify_waiters();
    }

    pub(super) fn depth(&self, now: Moment) -> Depth {
        let mut depth = Depth::default();
        for entry in self.entries.values().filter(|entry| entry.settled_by.is_none()) {
            match entry.hold {
                Some(hold) if hold.deadline.is_none_or(|deadline| deadline > now) => depth.in_flight_count += 1,
                None if entry.visible_at > now => depth.delayed_count += 1,
                _ => depth.ready_count += 1,
            }
        }
        depth
    }

    pub(super) fn purge(&mut self) {
        self.entries.retain(|_, entry| entry.hold.is_some());
    }

    pub(super) fn messages(&self) -> Vec<Message> {
        let unsettled = self.entries.values().filter(|entry| entry.settled_by.is_none());
        unsettled.map(|entry| entry.message.clone()).collect()
    }
}
