//! A pipelined, idempotent producer, and its delivery reports.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bus::{ClockExt as _, Error, PublishOutcome, Receipt, Result, Seams};
use rdkafka::ClientContext;
use rdkafka::config::{FromClientConfigAndContext as _, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message as _;
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer as _, ProducerContext, ThreadedProducer};
use tokio::sync::Notify;
use tracing::warn;

use crate::config::KafkaOptions;
use crate::parcel::Parcel;
use crate::publish::{Batch, Ticket};
use crate::quarantine::Aside;
use crate::shared::closed;
use crate::traffic::Traffic;
use crate::{connect, desk, error};

/// Takes delivery reports, on the producer's own thread.
pub(crate) struct Reports {
    traffic: Arc<Traffic>,
    room: Arc<Room>,
}

/// Room in the producer's queue, for who waits for it.
#[derive(Default)]
struct Room {
    waiting_count: AtomicUsize,
    changed: Notify,
}

impl ClientContext for Reports {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        desk::log(level, facility, message);
    }

    fn error(&self, failure: KafkaError, reason: &str) {
        desk::troubled(&self.traffic, &failure, reason);
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = Box<Ticket>;

    fn delivery(&self, report: &DeliveryResult<'_>, ticket: Box<Ticket>) {
        let outcome = match report {
            Ok(record) => {
                self.traffic.answered();
                let broker_id = format!("{}/{}", record.partition(), record.offset()).into_boxed_str();
                PublishOutcome::Accepted(Receipt { broker_id: Some(broker_id) })
            }
            Err((failure, _)) => {
                let code = failure.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail);
                error::undelivered(code)
            }
        };
        match *ticket {
            Ticket::Batch(batch, place) => batch.answer(place, outcome),
            Ticket::Aside(aside) => aside.reported(outcome.into_result()),
        }
        if self.room.waiting_count.load(Ordering::Acquire) > 0 {
            self.room.changed.notify_waiters();
        }
    }
}

type Producer = ThreadedProducer<Reports>;

/// librdkafka frees the room of what it has reported only after the last report of a batch, and tells
/// nobody then: who waits looks again.
const ROOM_LOOK_PAUSE: Duration = Duration::from_millis(20);

/// The producer of a bus.
pub(crate) struct Publisher {
    options: KafkaOptions,
    seams: Seams,
    traffic: Arc<Traffic>,
    room: Arc<Room>,
    /// Another one after a fatal error; taken out at close.
    producer: Mutex<Option<Arc<Producer>>>,
}

impl Publisher {
    pub(crate) fn open(options: &KafkaOptions, seams: Seams, traffic: Arc<Traffic>) -> Result<Self> {
        let new = Self { options: options.clone(), seams, traffic, room: Arc::default(), producer: Mutex::default() };
        *new.producer.lock().unwrap_or_else(PoisonError::into_inner) = Some(new.another()?);
        Ok(new)
    }

    fn another(&self) -> Result<Arc<Producer>> {
        let reports = Reports { traffic: Arc::clone(&self.traffic), room: Arc::clone(&self.room) };
        let producer = ThreadedProducer::from_config_and_context(&connect::producer(&self.options), reports);
        producer.map(Arc::new).map_err(|failure| error::told(&failure, "open"))
    }

    /// The producer. An idempotent one that has lost count of its sequences takes nothing any more: it is
    /// replaced, and what it had sent is reported to those who wait, as unknown where it does not know.
    fn producer(&self) -> Result<Arc<Producer>> {
        let mut producer = self.producer.lock().unwrap_or_else(PoisonError::into_inner);
        let current = producer.as_ref().ok_or_else(|| closed("publish"))?;
        let Some((code, reason)) = current.client().fatal_error() else { return Ok(Arc::clone(current)) };
        let another = self.another()?;
        warn!(?code, reason, "the producer cannot go on; another one takes its place");
        let old = producer.replace(Arc::clone(&another));
        drop(producer);
        // Blocks for half a second at most, should nobody else wait for its reports.
        drop(old);
        Ok(another)
    }

    /// Puts a record into the producer's queue, or gives the ticket back.
    fn send(producer: &Producer, parcel: &Parcel, ticket: Box<Ticket>) -> Result<(), (KafkaError, Box<Ticket>)> {
        let record =
            BaseRecord::with_opaque_to(parcel.topic.as_str(), ticket).payload(parcel.body()).headers(parcel.headers());
        let record = match parcel.key() {
            Some(key) => record.key(key),
            None => record,
        };
        producer.send(record).map_err(|(failure, record)| (failure, record.delivery_opaque))
    }

    /// The same, waiting for room: a full queue is no error.
    async fn send_when_there_is_room(
        &self,
        producer: &mut Arc<Producer>,
        parcel: &Parcel,
        mut ticket: Box<Ticket>,
    ) -> Result<()> {
        let mut waiting = None;
        loop {
            // Made before the attempt, so that no room between it and the wait is missed.
            let changed = self.room.changed.notified();
            let (failure, given_back) = match Self::send(producer, parcel, ticket) {
                Ok(()) => return Ok(()),
                Err(refused) => refused,
            };
            ticket = given_back;
            match failure.rdkafka_error_code() {
                Some(RDKafkaErrorCode::Fatal) => *producer = self.producer()?,
                // Reports wake only those that are counted as waiting, so there is one more attempt.
                Some(RDKafkaErrorCode::QueueFull) => match waiting {
                    None => waiting = Some(Waiting::at(&self.room)),
                    Some(_) => {
                        self.seams.clock.timeout(ROOM_LOOK_PAUSE, changed).await;
                    }
                },
                _ => return Err(error::told(&failure, "publish")),
            }
        }
    }

    /// Sends to known topics and waits for the reports. A dropped call leaves each parcel sent or not.
    pub(crate) async fn publish(&self, batch: Vec<Parcel>) -> Vec<PublishOutcome> {
        let under_way = Batch::of(batch.len());
        let mut producer = self.producer();
        for (place, parcel) in batch.into_iter().enumerate() {
            let sent = match &mut producer {
                Ok(producer) => {
                    let ticket = Box::new(Ticket::Batch(Arc::clone(&under_way), place));
                    self.send_when_there_is_room(producer, &parcel, ticket).await
                }
                Err(error) => Err(error::again(error, "publish")),
            };
            if let Err(error) = sent {
                let error = error.with("destination", &parcel.topic).with("message_id", parcel.message_id());
                under_way.answer(place, PublishOutcome::Refused(error));
            }
        }
        // Whoever closes or replaces it is to hold it last: dropped, it answers what is left.
        drop(producer);
        under_way.answers().await
    }

    /// Sends what was set aside, without waiting; given back when it cannot be sent now.
    pub(crate) fn send_aside(&self, parcel: &Parcel, aside: Aside) -> Result<(), (Error, Aside)> {
        let producer = match self.producer() {
            Ok(producer) => producer,
            Err(error) => return Err((error, aside)),
        };
        let sent = Self::send(&producer, parcel, Box::new(Ticket::Aside(aside)));
        sent.map_err(|(failure, ticket)| match *ticket {
            Ticket::Aside(aside) => (error::told(&failure, "settle"), aside),
            Ticket::Batch(..) => unreachable!("the ticket that was given"),
        })
    }

    /// Waits for the reports of all that was sent, at most `deadline`; blocks. What is left is told as
    /// unknown. Idempotent.
    pub(crate) fn close(&self, deadline: Duration) -> Result<()> {
        let producer = self.producer.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(producer) = producer else { return Ok(()) };
        producer.flush(deadline).map_err(|failure| error::told(&failure, "close"))
    }
}

struct Waiting<'a>(&'a Room);

impl<'a> Waiting<'a> {
    fn at(room: &'a Room) -> Self {
        room.waiting_count.fetch_add(1, Ordering::AcqRel);
        Self(room)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting_count.fetch_sub(1, Ordering::AcqRel);
    }
}
