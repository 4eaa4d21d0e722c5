//! `SendMessageBatch`: entries that belong to one queue.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::SendMessageBatchRequestEntry as Entry;
use bus::{ClockExt, Destination, Error, ErrorKind, PublishOutcome, Receipt, Result, Seams};

use crate::batcher::Call;
use crate::convert::{Wire, attribute};
use crate::error::{self, Failure};
use crate::queues::Queues;
use crate::traffic::Traffic;

/// How often an entry is sent that SQS itself failed to take, or was too busy for.
const TRY_COUNT_MAX: u32 = 3;
/// Pause before the second try; the third waits twice as long.
const PAUSE: Duration = Duration::from_millis(100);

/// A message on its way to a queue.
#[derive(Clone, Debug)]
pub(crate) struct Parcel {
    pub(crate) wire: Wire,
    pub(crate) delay_seconds: i32,
    /// Group and deduplication id, on FIFO queues.
    pub(crate) fifo: Option<(String, String)>,
}

/// Sends to one destination.
pub(crate) struct Send {
    pub(crate) client: Client,
    pub(crate) queues: Arc<Queues>,
    pub(crate) destination: Destination,
    pub(crate) traffic: Arc<Traffic>,
    pub(crate) seams: Seams,
}

/// What one call left open.
struct Round {
    /// Entries to be sent again, by place.
    open: Vec<usize>,
    failure: Option<Error>,
}

impl Call for Send {
    type Entry = Parcel;
    type Answer = PublishOutcome;

    fn bytes(entry: &Parcel) -> usize {
        entry.wire.bytes
    }

    async fn make(self: Arc<Self>, batch: Vec<Parcel>) -> Vec<PublishOutcome> {
        let mut outcomes: Vec<Option<PublishOutcome>> = batch.iter().map(|_| None).collect();
        let mut round = Round { open: (0..batch.len()).collect(), failure: None };
        for attempt in 1..=TRY_COUNT_MAX {
            round = self.round(&batch, round.open, &mut outcomes).await;
            if round.open.len() > 1 && round.failure.as_ref().is_some_and(is_about_content) {
                round = self.one_by_one(&batch, round.open, &mut outcomes).await;
            }
            let may_go_on = round.failure.as_ref().is_none_or(Error::is_retryable);
            if round.open.is_empty() || attempt == TRY_COUNT_MAX || !may_go_on {
                break;
            }
            self.seams.clock.sleep(PAUSE * attempt).await;
        }
        let refusal = round.failure.unwrap_or_else(|| {
            Error::new(ErrorKind::Unavailable, "publish", "SQS failed to take the message; publish it again")
        });
        let refused = || PublishOutcome::Refused(error::again(&refusal, "publish"));
        outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(refused)).collect()
    }
}

impl Send {
    /// The call as a whole was refused for what is in it, perhaps for one entry, and entries of several
    /// callers share a call: each goes alone, so that nobody pays for another's message.
    async fn one_by_one(&self, batch: &[Parcel], open: Vec<usize>, outcomes: &mut [Option<PublishOutcome>]) -> Round {
        let mut rest = Round { open: Vec::new(), failure: None };
        for place in open {
            let alone = self.round(batch, vec![place], outcomes).await;
            match alone.failure {
                Some(error) if !error.is_retryable() => outcomes[place] = Some(PublishOutcome::Refused(error)),
                failure => {
                    rest.open.extend(alone.open);
                    rest.failure = failure.or(rest.failure);
                }
            }
        }
        rest
    }

    /// One call for what is open; fills in what it decides.
    async fn round(&self, batch: &[Parcel], open: Vec<usize>, outcomes: &mut [Option<PublishOutcome>]) -> Round {
        let answer = match self.send(batch, &open).await {
            Err(failure) if failure.error.kind() == ErrorKind::NotFound => {
                match self.queues.recover(&self.destination).await {
                    Ok(_) => self.send(batch, &open).await,
                    Err(error) => Err(Failure::before(error)),
                }
            }
            answer => answer,
        };
        let answer = match answer {
            Ok(answer) => answer,
            Err(Failure { error, is_open: false, .. }) => return Round { open, failure: Some(error) },
            Err(Failure { error, is_open: true, .. }) => {
                for place in open {
                    outcomes[place] = Some(PublishOutcome::Unknown(error::again(&error, "publish")));
                }
                return Round { open: Vec::new(), failure: None };
            }
        };
        let place_of = |id: &str| id.parse::<usize>().ok().filter(|place| *place < batch.len());
        for done in &answer.successful {
            if let Some(place) = place_of(&done.id) {
                let broker_id = Some(done.message_id.clone().into_boxed_str());
                outcomes[place] = Some(PublishOutcome::Accepted(Receipt { broker_id }));
            }
        }
        let mut again = Vec::new();
        let mut failure = None;
        for failed in &answer.failed {
            let Some(place) = place_of(&failed.id) else { continue };
            let error = error::entry(&failed.code, failed.message.as_deref(), failed.sender_fault, "publish");
            if error.is_retryable() {
                again.push(place);
                failure = Some(error);
            } else {
                outcomes[place] = Some(PublishOutcome::Refused(error));
            }
        }
        for place in open {
            // Mentioned neither way: nobody can tell.
            if outcomes[place].is_none() && !again.contains(&place) {
                let error = Error::new(ErrorKind::Unexpected, "publish", "SQS did not answer for this message");
                outcomes[place] = Some(PublishOutcome::Unknown(error));
            }
        }
        Round { open: again, failure }
    }

    async fn send(
        &self,
        batch: &[Parcel],
        open: &[usize],
    ) -> Result<aws_sdk_sqs::operation::send_message_batch::SendMessageBatchOutput, Failure> {
        let queue = self.queues.find(&self.destination).await.map_err(Failure::before)?.ok_or_else(|| {
            Failure::before(Error::new(ErrorKind::NotFound, "publish", "no such destination; declare it first"))
        })?;
        let mut call = self.client.send_message_batch().queue_url(&queue.url);
        for place in open {
            call = call.entries(entry(*place, &batch[*place]).map_err(Failure::before)?);
        }
        self.traffic.count();
        let answer = call.send().await.map_err(|failure| Failure::of(&failure, "publish"));
        match &answer {
            Ok(_) => self.traffic.answered(),
            Err(failure) => self.traffic.failed(failure),
        }
        answer
    }
}

fn is_about_content(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Invalid | ErrorKind::TooLarge | ErrorKind::Unsupported)
}

fn entry(place: usize, parcel: &Parcel) -> Result<Entry> {
    let mut entry = Entry::builder().id(place.to_string()).message_body(&parcel.wire.body);
    for (name, value) in &parcel.wire.attributes {
        entry = entry.message_attributes(name, attribute(value)?);
    }
    if parcel.delay_seconds > 0 {
        entry = entry.delay_seconds(parcel.delay_seconds);
    }
    if let Some((group, deduplication_id)) = &parcel.fifo {
        entry = entry.message_group_id(group).message_deduplication_id(deduplication_id);
    }
    entry.build().map_err(|error| {
        Error::new(ErrorKind::Unexpected, "publish", "an entry could not be made").caused_by(error.to_string())
    })
}
