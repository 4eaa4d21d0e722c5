//! What the consumer's handlers were seen to do, for the checks: a middleware around both of them. What the
//! disks were seen to take is beside it, by `commits`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bus::middleware::Middleware;
use bus::pipeline::{Envelope, Failure, Handled, Handler};
use serde::Deserialize;

use super::commits::{Rows, Stored};

/// A message of a queue: by the names of both.
pub type MessageName = (String, String);
/// A key of a queue: by the names of both.
type KeyName = (String, String);

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
    /// Runs that began.
    pub start_count: u32,
    /// Runs that used an attempt up: they failed, were rejected or dropped.
    pub spent_count: u32,
    /// Runs that found something down: their starts are taken back, if the store takes that.
    pub pardoned_count: u32,
    /// Runs that asked for another attempt, since the message was last forgotten as a dead letter.
    pub failed_count: u32,
    /// Starts that the store was seen to count and not to take back, also those that came to nothing.
    pub stored_count: u32,
}

impl Runs {
    /// Stored starts that no run has used up: it never began, or was to be taken back.
    #[must_use]
    pub fn unspent_count(&self) -> u32 {
        (self.stored_count + self.pardoned_count).saturating_sub(self.start_count)
    }
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
    pub runs: BTreeMap<MessageName, Runs>,
    /// The same by the id it had on the broker, where that is another one.
    pub aliases: BTreeMap<MessageName, MessageName>,
    /// What events told, each message once, in the order of their first runs.
    pub told: Vec<Told>,
    /// Messages that were run while they were running already.
    pub shared_messages: Vec<String>,
    /// Messages that were run while another of their key was running.
    pub shared_keys: Vec<String>,
    /// Writes of orders and copies with a lower version than there was.
    pub backwards: Vec<String>,
    /// Writes that only count starts and did not go well: each may have used up a start of a message.
    pub disturbed_count: u32,
    pub(super) stored: Stored,
    done: BTreeSet<MessageName>,
    running: BTreeMap<KeyName, String>,
}

impl Seen {
    /// The runs of a message by the id it has on the broker.
    #[must_use]
    pub fn runs_of(&self, queue: &str, id: &str) -> Option<&Runs> {
        let name = (queue.to_owned(), id.to_owned());
        self.runs.get(self.aliases.get(&name).unwrap_or(&name))
    }

    /// The ids that a message had on the broker.
    pub fn ids_of<'a>(&'a self, queue: &'a str, id: &'a str) -> impl Iterator<Item = &'a str> {
        let is_alias = move |(_, name): &(&MessageName, &MessageName)| name.0 == queue && name.1 == id;
        let aliases = self.aliases.iter().filter(is_alias).map(|(alias, _)| alias.1.as_str());
        aliases.chain([id])
    }

    /// A run begins. It has a place if its message has a key.
    fn begin(&mut self, envelope: &Envelope) -> Started {
        let queue = envelope.subscription().to_string();
        let name = (queue.clone(), envelope.message_id().to_string());
        let alias = (queue.clone(), envelope.message().id().to_string());
        if alias != name {
            self.aliases.insert(alias, name.clone());
        }
        let hints: Hints = serde_json::from_slice(envelope.message().body()).unwrap_or_default();
        let runs = self.runs.entry(name.clone()).or_default();
        if let (0, Some(event), Some(order)) = (runs.start_count, &hints.event_type, &hints.entity_key) {
            self.told.push(Told { order: order.clone(), event: event.clone(), version: hints.version });
        }
        runs.start_count += 1;
        runs.attempt_max = runs.attempt_max.max(envelope.attempt());
        runs.last = Ended::Dropped;
        runs.again_count += u32::from(self.done.contains(&name));
        let epoch = self.stored.epoch(&name);
        let own = envelope.message().key().map(ToString::to_string);
        let place = own.or(hints.entity_key).or(hints.order_number).map(|key| (queue, key));
        if let Some(place) = &place {
            match self.running.insert(place.clone(), name.1.clone()) {
                Some(other) if other == name.1 => self.shared_messages.push(format!("{} of {}", name.1, place.1)),
                Some(other) => self.shared_keys.push(format!("{} and {other} of {}", name.1, place.1)),
                None => {}
            }
        }
        Started { name, place, epoch }
    }

    fn end(&mut self, Started { name, place, epoch }: &Started, ended: Ended) {
        let is_of_now = self.stored.epoch(name) == *epoch;
        if let Some(runs) = self.runs.get_mut(name) {
            runs.last = ended;
            runs.spent_count += u32::from(matches!(ended, Ended::Dropped | Ended::Failed | Ended::Rejected));
            runs.pardoned_count += u32::from(ended == Ended::Unavailable);
            runs.failed_count += u32::from(ended == Ended::Failed && is_of_now);
        }
        if ended == Ended::Done {
            self.done.insert(name.clone());
        }
        if let Some(place) = place {
            self.running.remove(place);
        }
    }
}

/// A run that has begun.
struct Started {
    name: MessageName,
    place: Option<KeyName>,
    /// That of its message's count, when it began.
    epoch: u32,
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

    /// These rows are on a disk now.
    pub(super) fn committed(&self, rows: Rows) {
        if !rows.is_empty() {
            self.seen().committed(rows);
        }
    }

    /// A fault befell a write that only counts starts.
    pub(super) fn disturbed(&self) {
        self.seen().disturbed_count += 1;
    }
}

/// A run until it has ended, also by being dropped.
struct Running<'a> {
    watch: &'a Watch,
    started: Started,
    ended: Ended,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.watch.seen().end(&self.started, self.ended);
    }
}

#[async_trait]
impl Middleware for Watch {
    async fn handle(&self, envelope: Envelope, next: &dyn Handler) -> Handled {
        let started = self.seen().begin(&envelope);
        let mut running = Running { watch: self, started, ended: Ended::Dropped };
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
