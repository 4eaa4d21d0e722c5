//! What the consumer's handlers were seen to do, for the checks: a middleware around both of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bus::middleware::Middleware;
use bus::pipeline::{Envelope, Failure, Handled, Handler};
use serde::Deserialize;

/// A message of a queue: by the names of both.
pub type Name = (String, String);

/// How a handler's run ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ended {
    /// It was dropped: its process died, its lease was lost or its time was over.
    #[default]
    Dropped,
    /// It answered that the effect is durable.
    Done,
    /// It asked for another attempt.
    Failed,
    /// It never wants to see the message again.
    Rejected,
    /// Something it needs was down: no attempt.
    Unavailable,
}

/// All runs of one message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Runs {
    /// The highest attempt that was told to a run.
    pub attempt_max: u32,
    /// How the last run ended.
    pub last: Ended,
    /// Runs that began after one had answered that the effect is durable.
    pub again_count: u32,
}

/// What an event told of an order, when its handler first began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Which order.
    pub order: String,
    /// Which event.
    pub event: String,
    /// Of which version, where it says so.
    pub version: Option<u64>,
}

/// Everything that was seen.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// By the name the message is deduplicated by.
    pub runs: BTreeMap<Name, Runs>,
    /// The same by the id it had on the broker, where that is another one.
    pub aliases: BTreeMap<Name, Name>,
    /// What events told, each message once, in the order of their first runs.
    pub told: Vec<Told>,
    /// Messages that were run while they were running already.
    pub shared_messages: Vec<String>,
    /// Messages that were run while another of their key was running.
    pub shared_keys: Vec<String>,
    done: BTreeSet<Name>,
    running: BTreeMap<Name, String>,
}

impl Seen {
    /// The runs of a message by the id it has on the broker.
    #[must_use]
    pub fn runs_of(&self, queue: &str, id: &str) -> Option<&Runs> {
        let name = (queue.to_owned(), id.to_owned());
        self.runs.get(self.aliases.get(&name).unwrap_or(&name))
    }

    /// A run begins. Answers the place that it takes, if its message has a key.
    fn begin(&mut self, envelope: &Envelope) -> (Name, Option<Name>) {
        let queue = envelope.subscription().to_string();
        let name = (queue.clone(), envelope.message_id().to_string());
        let alias = (queue.clone(), envelope.message().id().to_string());
        if alias != name {
            self.aliases.insert(alias, name.clone());
        }
        let hints: Hints = serde_json::from_slice(envelope.message().body()).unwrap_or_default();
        if let (None, Some(event), Some(order)) = (self.runs.get(&name), &hints.event_type, &hints.entity_key) {
            self.told.push(Told { order: order.clone(), event: event.clone(), version: hints.version });
        }
        let runs = self.runs.entry(name.clone()).or_default();
        runs.attempt_max = runs.attempt_max.max(envelope.attempt());
        runs.last = Ended::Dropped;
        runs.again_count += u32::from(self.done.contains(&name));
        let own = envelope.message().key().map(ToString::to_string);
        let place = own.or(hints.entity_key).or(hints.order_number).map(|key| (queue, key));
        if let Some(place) = &place {
            match self.running.insert(place.clone(), name.1.clone()) {
                Some(other) if other == name.1 => self.shared_messages.push(format!("{} of {}", name.1, place.1)),
                Some(other) => self.shared_keys.push(format!("{} and {other} of {}", name.1, place.1)),
                None => {}
            }
        }
        (name, place)
    }

    fn end(&mut self, name: &Name, place: Option<&Name>, ended: Ended) {
        if let Some(runs) = self.runs.get_mut(name) {
            runs.last = ended;
        }
        if ended == Ended::Done {
            self.done.insert(name.clone());
        }
        if let Some(place) = place {
            self.running.remove(place);
        }
    }
}

/// What a body says of itself.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Hints {
    order_number: Option<String>,
    entity_key: Option<String>,
    event_type: Option<String>,
    version: Option<u64>,
}

/// Looks on. Clones share what they saw.
#[derive(Clone, Debug, Default)]
pub(super) struct Watch(Arc<Mutex<Seen>>);

impl Watch {
    pub(super) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A run until it has ended, also by being dropped.
struct Running<'a> {
    watch: &'a Watch,
    name: Name,
    place: Option<Name>,
    ended: Ended,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.watch.seen().end(&self.name, self.place.as_ref(), self.ended);
    }
}

#[async_trait]
impl Middleware for Watch {
    async fn handle(&self, envelope: Envelope, next: &dyn Handler) -> Handled {
        let (name, place) = self.seen().begin(&envelope);
        let mut running = Running { watch: self, name, place, ended: Ended::Dropped };
        let handled = next.handle(envelope).await;
        running.ended = match &handled {
            Ok(()) => Ended::Done,
            Err(Failure::Retry(_) | Failure::RetryAfter(..)) => Ended::Failed,
            Err(Failure::Reject(_)) => Ended::Rejected,
            Err(Failure::Unavailable(_)) => Ended::Unavailable,
        };
        handled
    }
}
