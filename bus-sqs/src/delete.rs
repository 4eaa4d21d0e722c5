//! `DeleteMessageBatch` and `ChangeMessageVisibilityBatch`: entries of one receiver.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{
    BatchResultErrorEntry, ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry,
};
use bus::{ClockExt, Error, ErrorKind, Moment, Result, Seams};

use crate::batcher::Call;
use crate::error::{self, Failure};
use crate::queues::Queue;
use crate::traffic::Traffic;

/// How often a call is made that may be made twice without harm.
const TRY_COUNT_MAX: u32 = 3;
/// Pause before the second try; the third waits twice as long.
const PAUSE: Duration = Duration::from_millis(100);

/// What both calls need.
#[derive(Clone)]
pub(crate) struct Till {
    pub(crate) client: Client,
    pub(crate) queue: Arc<Queue>,
    pub(crate) traffic: Arc<Traffic>,
    pub(crate) seams: Seams,
}

/// Deletes by receipt handle, within the lease.
///
/// A delete that is answered after the lease has ended may have done nothing, although it
/// "succeeded": then the lease counts as lost.
pub(crate) struct Delete(pub(crate) Till);

/// The entries of a call that the server mentioned.
struct Mentioned {
    done: Vec<String>,
    failed: Vec<BatchResultErrorEntry>,
}

/// Sets what is left of a visibility timeout, in seconds from now.
pub(crate) struct ChangeVisibility(pub(crate) Till);

impl Call for Delete {
    type Entry = (String, Moment);
    type Answer = Result<()>;

    fn bytes(entry: &(String, Moment)) -> usize {
        entry.0.len()
    }

    async fn make(self: Arc<Self>, receipts: Vec<(String, Moment)>) -> Vec<Result<()>> {
        let call = |open: &[usize]| {
            let entries = open.iter().map(|place| {
                let entry = DeleteMessageBatchRequestEntry::builder().id(place.to_string());
                entry.receipt_handle(&receipts[*place].0).build().map_err(unbuilt)
            });
            let entries = entries.collect::<Result<Vec<_>>>();
            let call = self.0.client.delete_message_batch().queue_url(&self.0.queue.url);
            async move {
                let answer = call.set_entries(Some(entries.map_err(Failure::before)?)).send().await;
                let answer = answer.map_err(|failure| Failure::of(&failure, "settle"))?;
                let done = answer.successful.into_iter().map(|entry| entry.id).collect();
                Ok(Mentioned { done, failed: answer.failed })
            }
        };
        let results = self.0.in_rounds(receipts.len(), "settle", call).await;
        let in_time = results.into_iter().zip(&receipts).map(|(result, (_, deadline))| {
            let late = || Error::new(ErrorKind::LeaseLost, "settle", "SQS answered after the lease had ended");
            result.and_then(|answered_at| if answered_at < *deadline { Ok(()) } else { Err(late()) })
        });
        in_time.collect()
    }
}

impl Call for ChangeVisibility {
    type Entry = (String, i32);
    type Answer = Result<()>;

    fn bytes(entry: &(String, i32)) -> usize {
        entry.0.len()
    }

    async fn make(self: Arc<Self>, changes: Vec<(String, i32)>) -> Vec<Result<()>> {
        let call = |open: &[usize]| {
            let entries = open.iter().map(|place| {
                let (receipt, seconds) = &changes[*place];
                let entry = ChangeMessageVisibilityBatchRequestEntry::builder().id(place.to_string());
                entry.receipt_handle(receipt).visibility_timeout(*seconds).build().map_err(unbuilt)
            });
            let entries = entries.collect::<Result<Vec<_>>>();
            let call = self.0.client.change_message_visibility_batch().queue_url(&self.0.queue.url);
            async move {
                let answer = call.set_entries(Some(entries.map_err(Failure::before)?)).send().await;
                let answer = answer.map_err(|failure| Failure::of(&failure, "extend"))?;
                let done = answer.successful.into_iter().map(|entry| entry.id).collect();
                Ok(Mentioned { done, failed: answer.failed })
            }
        };
        let results = self.0.in_rounds(changes.len(), "extend", call).await;
        results.into_iter().map(|result| result.map(drop)).collect()
    }
}

impl Till {
    /// Makes a call for all places, and again for those that failed by no fault of ours. Says when each
    /// was answered.
    async fn in_rounds<F>(
        &self,
        count: usize,
        operation: &'static str,
        call: impl Fn(&[usize]) -> F,
    ) -> Vec<Result<Moment>>
    where
        F: Future<Output = Result<Mentioned, Failure>> + Send,
    {
        let mut results: Vec<Result<Moment>> = (0..count).map(|_| Err(unmentioned(operation))).collect();
        let mut open: Vec<usize> = (0..count).collect();
        for attempt in 1..=TRY_COUNT_MAX {
            self.traffic.count();
            let mut again = Vec::new();
            match call(&open).await {
                Ok(Mentioned { done, failed }) => {
                    self.traffic.answered();
                    let answered_at = self.seams.clock.now();
                    let place_of = |id: &str| id.parse::<usize>().ok().filter(|place| *place < count);
                    for place in &open {
                        results[*place] = Err(unmentioned(operation));
                    }
                    for place in done.iter().filter_map(|id| place_of(id)) {
                        results[place] = Ok(answered_at);
                    }
                    for entry in failed {
                        let Some(place) = place_of(&entry.id) else { continue };
                        let error = error::entry(&entry.code, entry.message.as_deref(), entry.sender_fault, operation);
                        if error.is_retryable() {
                            again.push(place);
                        }
                        results[place] = Err(error);
                    }
                }
                Err(failure) => {
                    self.traffic.failed(&failure);
                    let error = failure.error;
                    if error.is_retryable() {
                        again.clone_from(&open);
                    }
                    for place in &open {
                        results[*place] = Err(error::again(&error, operation));
                    }
                }
            }
            if again.is_empty() || attempt == TRY_COUNT_MAX {
                break;
            }
            open = again;
            self.seams.clock.sleep(PAUSE * attempt).await;
        }
        results
    }
}

/// Taken for neither done nor failed for good.
fn unmentioned(operation: &'static str) -> Error {
    Error::new(ErrorKind::Unexpected, operation, "SQS did not answer for this delivery")
}

fn unbuilt(error: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Unexpected, "settle", "an entry could not be made").caused_by(error.to_string())
}
