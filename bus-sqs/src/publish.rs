//! From a batch to an answer per message.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bus::{
    Destination, Error, ErrorKind, Message, MessageKey, Outgoing, PublishOutcome, Result, dead_letter, emulation,
};
use tracing::warn;
use uuid::Uuid;

use crate::batcher::{Batcher, Limits};
use crate::config::{DELAY_MAX, WIRE_BYTES_MAX};
use crate::convert::{to_bare_wire, to_wire};
use crate::send::{Parcel, Send};
use crate::shared::Shared;

/// Calls under way to one standard queue. More bring nothing: the server works on them in parallel
/// only to a degree, and entries gather into fuller calls meanwhile.
const CONCURRENCY_MAX: usize = 8;

/// One batcher for each destination published to.
#[derive(Default)]
pub(crate) struct Senders(Mutex<BTreeMap<Destination, Arc<Batcher<Send>>>>);

impl Senders {
    pub(crate) fn of(&self, destination: &Destination, shared: &Shared) -> Arc<Batcher<Send>> {
        let mut senders = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let start = || {
            let call = Send {
                client: shared.clients.calls.clone(),
                queues: Arc::clone(&shared.queues),
                destination: destination.clone(),
                traffic: Arc::clone(&shared.traffic),
                seams: shared.seams.clone(),
            };
            let limits = Limits { bytes_max: WIRE_BYTES_MAX, concurrency_max: CONCURRENCY_MAX };
            Arc::new(Batcher::start(Arc::new(call), limits, &shared.tasks, shared.closing.clone()))
        };
        Arc::clone(senders.entry(destination.clone()).or_insert_with(start))
    }
}

/// Where a message stands in its batch, and its key.
type Place = (usize, Option<MessageKey>);

/// A message to be sent, by its place in the batch.
struct Ready {
    place: usize,
    destination: Destination,
    key: Option<MessageKey>,
    parcel: Parcel,
}

pub(crate) async fn publish(shared: &Shared, batch: Vec<Outgoing>) -> Vec<PublishOutcome> {
    let mut outcomes: Vec<Option<PublishOutcome>> = batch.iter().map(|_| None).collect();
    let mut ready = Vec::with_capacity(batch.len());
    // A missing queue is asked for once a batch, not once a message.
    let mut missing = BTreeSet::new();
    for (place, outgoing) in batch.into_iter().enumerate() {
        match prepare(shared, place, outgoing, &mut missing).await {
            Ok(prepared) => ready.push(prepared),
            Err(error) => outcomes[place] = Some(PublishOutcome::Refused(error)),
        }
    }
    let mut behind: BTreeSet<(Destination, MessageKey)> = BTreeSet::new();
    while !ready.is_empty() {
        let (wave, later) = if shared.options.fifo { first_of_each_key(ready) } else { (ready, Vec::new()) };
        ready = later;
        send_wave(shared, wave, &mut behind, &mut outcomes).await;
    }
    let unanswered = || PublishOutcome::Unknown(Error::new(ErrorKind::Closed, "publish", "the bus closed meanwhile"));
    outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(unanswered)).collect()
}

/// On FIFO queues one message of a key at a time: SQS may take the second entry of a call and fail
/// the first, which would turn their order round.
fn first_of_each_key(ready: Vec<Ready>) -> (Vec<Ready>, Vec<Ready>) {
    let mut seen: BTreeSet<(Destination, MessageKey)> = BTreeSet::new();
    ready.into_iter().partition(|one| match &one.key {
        None => true,
        Some(key) => seen.insert((one.destination.clone(), key.clone())),
    })
}

async fn send_wave(
    shared: &Shared,
    wave: Vec<Ready>,
    behind: &mut BTreeSet<(Destination, MessageKey)>,
    outcomes: &mut [Option<PublishOutcome>],
) {
    let mut by_destination: BTreeMap<Destination, (Vec<Place>, Vec<Parcel>)> = BTreeMap::new();
    for Ready { place, destination, key, parcel } in wave {
        if let Some(key) = &key
            && behind.contains(&(destination.clone(), key.clone()))
        {
            outcomes[place] = Some(PublishOutcome::Refused(behind_refused()));
            continue;
        }
        let (places, parcels) = by_destination.entry(destination).or_default();
        places.push((place, key));
        parcels.push(parcel);
    }
    // All handed in before the first answer is awaited: destinations do not wait for each other.
    let submitted: Vec<_> = by_destination
        .into_iter()
        .map(|(destination, (places, parcels))| {
            let answers = shared.senders.of(&destination, shared).submit(parcels);
            (destination, places, answers)
        })
        .collect();
    for (destination, places, answers) in submitted {
        for ((place, key), answer) in places.into_iter().zip(answers.all().await) {
            if let (true, Some(key), false) =
                (shared.options.fifo, key, answer.as_ref().is_some_and(PublishOutcome::is_accepted))
            {
                behind.insert((destination.clone(), key));
            }
            outcomes[place] = answer;
        }
    }
}

async fn prepare(
    shared: &Shared,
    place: usize,
    outgoing: Outgoing,
    missing: &mut BTreeSet<Destination>,
) -> Result<Ready> {
    if shared.closing.is_cancelled() {
        return Err(crate::shared::closed("publish"));
    }
    let (destination, message, delay) = outgoing.into_parts();
    let (bytes, bytes_max) = (message.size_bytes(), shared.options.message_bytes_max);
    if bytes > bytes_max {
        return Err(too_large(&message, bytes, bytes_max));
    }
    let delay_seconds = delay_seconds(shared.options.fifo, &message, delay)?;
    let found = if missing.contains(&destination) { None } else { shared.queues.find(&destination).await? };
    let Some(queue) = found else {
        let text = "no such destination; declare it first";
        let error = Error::new(ErrorKind::NotFound, "publish", text).with("destination", &destination);
        missing.insert(destination);
        return Err(error);
    };
    let wire = to_wire(&message);
    if wire.bytes > queue.bytes_max.min(WIRE_BYTES_MAX) {
        return Err(too_large(&message, wire.bytes, queue.bytes_max.min(WIRE_BYTES_MAX)).with("queue", &queue.url));
    }
    let key = message.key().cloned();
    let parcel = Parcel { wire, delay_seconds, fifo: fifo_of(shared, &message) };
    Ok(Ready { place, destination, key, parcel })
}

/// A message for the dead letters. It gets a group of its own: a group shows one message at a time,
/// and whoever reads dead letters wants to see them all.
///
/// A foreign message may be as large as SQS takes and leave no room for its provenance. Then it is
/// kept without: refused it would come again for ever.
pub(crate) fn dead_parcel_of(shared: &Shared, message: &Message, bytes_max: usize) -> Parcel {
    let fifo = shared.options.fifo.then(|| {
        let id = deduplication_id_of(message);
        (id.clone(), id)
    });
    let mut wire = to_wire(message);
    if wire.bytes > bytes_max {
        let reason = message.headers().text(dead_letter::REASON);
        warn!(message_id = %message.id(), reason, "too large for its provenance: kept in the dead letters without");
        wire = to_bare_wire(message, bytes_max);
    }
    Parcel { wire, delay_seconds: 0, fifo }
}

fn fifo_of(shared: &Shared, message: &Message) -> Option<(String, String)> {
    shared.options.fifo.then(|| (group_of(message), deduplication_id_of(message)))
}

fn delay_seconds(fifo: bool, message: &Message, delay: Duration) -> Result<i32> {
    if delay.is_zero() {
        return Ok(0);
    }
    let text = match (fifo, delay > DELAY_MAX) {
        (true, _) => "a FIFO queue delays no single message; publish it when it is due".to_owned(),
        (false, true) => format!("a delay of {delay:?} is longer than SQS keeps, which is {DELAY_MAX:?}"),
        (false, false) => return Ok(whole_seconds(delay)),
    };
    Err(Error::new(ErrorKind::Unsupported, "publish", text).with("message_id", message.id()))
}

/// Rounded up: nothing may come early.
pub(crate) fn whole_seconds(span: Duration) -> i32 {
    i32::try_from(span.as_secs() + u64::from(span.subsec_nanos() > 0)).unwrap_or(i32::MAX)
}

/// The message group: the key, or a group of its own.
fn group_of(message: &Message) -> String {
    legal_id(message.key().map_or_else(|| message.id().to_string(), |key| key.as_str().to_owned()))
}

/// The message id, and for a message that is meant to come again what makes it another one: equal
/// ids within five minutes are one message to SQS, and the second vanishes with a success.
fn deduplication_id_of(message: &Message) -> String {
    let repeats =
        [("replay", dead_letter::REPLAY_COUNT), ("hop", emulation::delay::HOP_COUNT), ("dead", dead_letter::AT)];
    let suffixes = repeats.into_iter().filter_map(|(what, name)| Some((what, message.headers().text(name)?)));
    legal_id(suffixes.fold(message.id().to_string(), |id, (what, suffix)| format!("{id}~{what}{suffix}")))
}

/// SQS takes 128 letters, digits and punctuation marks; anything else is hashed (UUIDv5).
fn legal_id(text: String) -> String {
    if text.len() <= 128 && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return text;
    }
    Uuid::new_v5(&Uuid::NAMESPACE_OID, text.as_bytes()).to_string()
}

fn too_large(message: &Message, bytes: usize, bytes_max: usize) -> Error {
    let text = format!(
        "the message has {bytes} bytes, at most {bytes_max} are allowed; put a claim check in front or send a reference"
    );
    Error::new(ErrorKind::TooLarge, "publish", text).with("message_id", message.id())
}

fn behind_refused() -> Error {
    let text = "an earlier message of its key in the same batch was not accepted; publish both again, in order";
    Error::new(ErrorKind::Conflict, "publish", text).retryable(true)
}

#[cfg(test)]
mod tests {
    use bus::MessageId;

    use super::*;

    fn message(id: &str, headers: &[(&'static str, &'static str)]) -> Message {
        let headers = headers.iter().copied().collect();
        Message::new(MessageId::parse(id).expect("legal"), &b"{}"[..]).with_headers(headers)
    }

    #[test]
    fn a_resend_is_the_same_message_and_a_hop_a_replay_or_a_rejection_is_another() {
        let id = |headers: &[(&'static str, &'static str)]| deduplication_id_of(&message("m-1", headers));
        assert_eq!((id(&[]), id(&[("x-other", "1")])), ("m-1".to_owned(), "m-1".to_owned()));
        let headers = [
            (dead_letter::REPLAY_COUNT, "1"),
            (dead_letter::REPLAY_COUNT, "2"),
            (emulation::delay::HOP_COUNT, "1"),
            (dead_letter::AT, "2026-01-01T00:00:00Z"),
        ];
        let mut ids: Vec<String> = headers.into_iter().map(|header| id(&[header])).collect();
        ids.push(id(&[]));
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), headers.len() + 1, "all differ: {ids:?}");
    }

    #[test]
    fn ids_that_sqs_does_not_take_are_hashed_and_still_differ() {
        let long = "x".repeat(128);
        for odd in ["주문 1", "with space", &long] {
            let of = |header| deduplication_id_of(&message(odd, &[(dead_letter::REPLAY_COUNT, header)]));
            assert!(of("1").is_ascii() && of("1").len() <= 128, "{odd}");
            assert_eq!(of("1"), of("1"));
            assert_ne!(of("1"), of("2"));
        }
    }
}
