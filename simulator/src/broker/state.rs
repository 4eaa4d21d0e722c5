//! What the broker keeps: destinations with their groups, and what it has seen lately.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bus::{Declaration, Destination, Error, ErrorKind, Group, Message, Moment, Result, Subscription, dead_letter};

use super::queue::Queue;
use super::{Broker, Semantics};

#[derive(Debug, Default)]
pub(super) struct State {
    destinations: BTreeMap<Destination, BTreeSet<Option<Group>>>,
    queues: BTreeMap<Subscription, Queue>,
    /// Until when an id is a duplicate, by destination.
    seen: BTreeMap<(Destination, String), Moment>,
    last_number: u64,
}

impl State {
    /// Numbers connections, receivers, epochs.
    pub(super) fn next_number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    pub(super) fn declare(&mut self, declarations: &[Declaration], semantics: &Semantics) -> Result<()> {
        for declaration in declarations {
            if !semantics.capability.groups && !declaration.groups.is_empty() {
                let text = "this broker has no groups beside the default one; use a destination each";
                return Err(Error::new(ErrorKind::Unsupported, "declare", text));
            }
            let groups = declaration.groups.iter().cloned().map(Some).chain([None]);
            let wanted: Vec<Subscription> = groups.map(|group| subscription(&declaration.destination, group)).collect();
            self.check_names(&wanted)?;
            let dead = declaration.destination.dead_letters().ok();
            for wanted in wanted.into_iter().chain(dead.map(Subscription::to)) {
                let groups = self.destinations.entry(wanted.destination().clone()).or_default();
                groups.insert(wanted.group().cloned());
                self.queues.entry(wanted).or_insert_with(Queue::new);
            }
        }
        Ok(())
    }

    /// Two names that would be one object on the broker.
    fn check_names(&self, wanted: &[Subscription]) -> Result<()> {
        for new in wanted {
            let name = new.to_string();
            if let Some(old) = self.queues.keys().find(|old| *old != new && old.to_string() == name) {
                let text = format!("{name} would be a destination of its own and a group of another");
                let error = Error::new(ErrorKind::Conflict, "declare", text);
                return Err(error.with("one", old.destination()).with("other", new.destination()));
            }
        }
        Ok(())
    }

    pub(super) fn is_declared(&self, destination: &Destination) -> bool {
        self.destinations.contains_key(destination)
    }

    pub(super) fn queue(&self, subscription: &Subscription) -> Option<&Queue> {
        self.queues.get(subscription)
    }

    pub(super) fn queue_mut(&mut self, subscription: &Subscription) -> Option<&mut Queue> {
        self.queues.get_mut(subscription)
    }

    pub(super) fn queues_mut(&mut self) -> impl Iterator<Item = &mut Queue> {
        self.queues.values_mut()
    }

    pub(super) fn take_all_back(&mut self, now: Moment, semantics: &Semantics) {
        for queue in self.queues.values_mut() {
            queue.take_all_back(now, semantics);
        }
    }

    /// Puts a dead letter where it belongs: no interference, and no duplicate of anything.
    pub(super) fn bury(&mut self, broker: &Broker, graves: &Destination, dead: Message, now: Moment) {
        if let Some(queue) = self.queues.get_mut(&Subscription::to(graves.clone())) {
            queue.put(dead, now, 0, &broker.semantics);
        }
    }

    /// Puts a message on every group's queue of a declared destination; a duplicate is dropped.
    pub(super) fn put(&mut self, broker: &Broker, destination: &Destination, message: &Message, delay: Duration) {
        let now = broker.seams.clock.now();
        if let Some(window) = broker.semantics.deduplication {
            let replay = message.headers().text(dead_letter::REPLAY_COUNT).unwrap_or_default();
            let name = (destination.clone(), format!("{}#{replay}", message.id()));
            if self.seen.get(&name).is_some_and(|until| now < *until) {
                return;
            }
            self.seen.insert(name, now + window);
        }
        let copies = broker.interference.copies(destination, message);
        for group in self.destinations.get(destination).cloned().unwrap_or_default() {
            let Some(queue) = self.queues.get_mut(&subscription(destination, group)) else { continue };
            for copy in &copies {
                let scatter = match broker.semantics.selection {
                    super::Selection::Scattered => {
                        broker.seams.entropy.bits("place in queue", &message.id().to_string()) % 48
                    }
                    _ => 0,
                };
                queue.put(message.clone(), now + delay + *copy, scatter as u64, &broker.semantics);
            }
        }
    }
}

pub(super) fn subscription(destination: &Destination, group: Option<Group>) -> Subscription {
    match group {
        None => Subscription::to(destination.clone()),
        Some(group) => Subscription::grouped(destination.clone(), group),
    }
}
