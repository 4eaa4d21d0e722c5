//! From a batch to an answer per message.

use std::sync::Arc;
use std::time::Duration;

use bus::{Destination, Error, ErrorKind, Message, MessageKey, Outgoing, PublishOutcome, Receipt};

use crate::arrival::{Arrival, Target};
use crate::broker::Broker;
use crate::ledger::{Entries, Row};
use crate::queue::{Draft, LaneKey};
use crate::refusal;
use crate::topology::{Node, Topology};

pub(crate) async fn publish(broker: &Broker, batch: Vec<Outgoing>) -> Vec<PublishOutcome> {
    // A publisher that never has to wait still lets other tasks have their turn.
    tokio::task::coop::consume_budget().await;
    if broker.options.publish_atomic {
        return publish_together(broker, batch).await;
    }
    let mut outcomes = Vec::with_capacity(batch.len());
    for outgoing in batch {
        outcomes.append(&mut publish_together(broker, vec![outgoing]).await);
    }
    outcomes
}

/// Refuses bad messages one by one and accepts the others together.
async fn publish_together(broker: &Broker, batch: Vec<Outgoing>) -> Vec<PublishOutcome> {
    let Sorted { targets, refusals, count } = sort(broker, batch);
    let failure = match Arrival::reserve(targets).await {
        Err(_closed) => Some(refusal::closed("publish")),
        Ok(arrival) => arrival.land(broker.ledger.as_ref(), Entries::default(), &broker.seams).await.err(),
    };
    let mut outcomes: Vec<PublishOutcome> = match &failure {
        None => (0..count).map(|_| PublishOutcome::Accepted(Receipt::default())).collect(),
        Some(error) => (0..count).map(|_| not_accepted(error)).collect(),
    };
    for (index, error) in refusals {
        outcomes[index] = PublishOutcome::Refused(error);
    }
    outcomes
}

/// One failure, told once per message.
fn not_accepted(error: &Error) -> PublishOutcome {
    match error.kind() {
        ErrorKind::Closed => PublishOutcome::Refused(refusal::closed("publish")),
        kind => PublishOutcome::Unknown(Error::new(kind, "publish", error.to_string())),
    }
}

/// A batch by destination.
struct Sorted {
    targets: Vec<Target>,
    /// By place in the batch.
    refusals: Vec<(usize, Error)>,
    count: usize,
}

fn sort(broker: &Broker, batch: Vec<Outgoing>) -> Sorted {
    let topology = broker.topology();
    let mut sorted = Sorted { targets: Vec::new(), refusals: Vec::new(), count: batch.len() };
    let mut nodes = Nodes { topology: &topology, found: Vec::new(), last: 0 };
    let mut refused_keys: Vec<MessageKey> = Vec::new();
    for (index, outgoing) in batch.into_iter().enumerate() {
        let (destination, message, delay) = outgoing.into_parts();
        // The place last: it names a target that the message is then put into.
        let checked = behind_refused(&refused_keys, &message)
            .and_then(|()| check(broker, &message, delay))
            .and_then(|bytes| Ok((nodes.place(&destination)?, bytes)));
        match checked {
            Err(error) => {
                refused_keys.extend(message.key().cloned());
                sorted.refusals.push((index, error));
            }
            Ok((place, bytes)) => {
                if place == sorted.targets.len() {
                    let drafts = Vec::with_capacity(sorted.count - index);
                    sorted.targets.push(Target { queues: nodes.found[place].queues(), drafts });
                }
                let lane = LaneKey::of(message.key());
                sorted.targets[place].drafts.push(Draft { message, bytes, lane, delay, row: Row::default() });
            }
        }
    }
    sorted
}

/// The destinations of a batch, in the order they appear. Mostly there is one.
struct Nodes<'a> {
    topology: &'a Topology,
    found: Vec<&'a Arc<Node>>,
    last: usize,
}

impl Nodes<'_> {
    fn place(&mut self, destination: &Destination) -> Result<usize, Error> {
        if self.topology.is_closed {
            return Err(refusal::closed("publish"));
        }
        if self.found.get(self.last).is_some_and(|node| node.destination == *destination) {
            return Ok(self.last);
        }
        let known = self.found.iter().position(|node| node.destination == *destination);
        self.last = match known {
            Some(place) => place,
            None => {
                let node = self.topology.node(destination).ok_or_else(|| refusal::undeclared(destination))?;
                self.found.push(node);
                self.found.len() - 1
            }
        };
        Ok(self.last)
    }
}

/// Accepting a message behind a refused one of its key would leave a gap in their order.
fn behind_refused(refused_keys: &[MessageKey], message: &Message) -> Result<(), Error> {
    match message.key() {
        Some(key) if refused_keys.contains(key) => Err(refusal::behind_refused(message)),
        _ => Ok(()),
    }
}

/// The size of a message this bus takes.
fn check(broker: &Broker, message: &Message, delay: Duration) -> Result<usize, Error> {
    let bytes = message.size_bytes();
    if let Some(max) = broker.options.message_bytes_max.filter(|max| bytes > *max) {
        return Err(refusal::too_large(message, bytes, max));
    }
    if !delay.is_zero() && broker.options.delay_max.is_none_or(|max| delay > max) {
        return Err(refusal::delay_refused(message, delay, broker.options.delay_max));
    }
    Ok(bytes)
}
