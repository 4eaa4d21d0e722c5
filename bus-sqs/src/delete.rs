//! `DeleteMessageBatch` and `ChangeMessageVisibilityBatch`: entries of one receiver.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{
    BatchResultErrorEntry, ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry,
};
use bus::{ClockExt, Error, ErrorKind, Result, Seams};

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

/// Deletes by receipt handle.
pub(crate) struct Delete(pub(crate) Till);

/// Sets what is left of a visibility timeout, in seconds from now.
pub(crate) struct ChangeVisibility(pub(crate) Till);

impl Call for Delete {
    type Entry = String;
    type Answer = Result<()>;

    fn bytes(receipt: &String) -> usize {
        receipt.len()
    }

    async fn make(self: Arc<Self>, receipts: Vec<String>) -> Vec<Result<()>> {
        let call = |open: &[usize]| {
            let entries = open.iter().map(|place| {
                let entry = DeleteMessageBatchRequestEntry::builder().id(place.to_string());
                entry.receipt_handle(&receipts[*place]).build().map_err(unbuilt)
            });
            let entries = entries.collect::<Result<Vec<_>>>();
            let call = self.0.client.delete_message_batch().queue_url(&self.0.queue.url);
            async move {
                let answer = call.set_entries(Some(entries?)).send().await;
                answer.map(|answer| answer.failed).map_err(|failure| Failure::of(&failure, "settle").error)
            }
        };
        self.0.in_rounds(receipts.len(), "settle", call).await
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
                let answer = call.set_entries(Some(entries?)).send().await;
                answer.map(|answer| answer.failed).map_err(|failure| Failure::of(&failure, "extend").error)
            }
        };
        self.0.in_rounds(changes.len(), "extend", call).await
    }
}

impl Till {
    /// Makes a call for all places, and again for those that failed by no fault of ours.
    async fn in_rounds<F>(&self, count: usize, operation: &'static str, call: impl Fn(&[usize]) -> F) -> Vec<Result<()>>
    where
        F: Future<Output = Result<Vec<BatchResultErrorEntry>>> + Send,
    {
        let mut results: Vec<Result<()>> = (0..count).map(|_| Ok(())).collect();
        let mut open: Vec<usize> = (0..count).collect();
        for attempt in 1..=TRY_COUNT_MAX {
            self.traffic.count();
            let mut again = Vec::new();
            match call(&open).await {
                Ok(failed) => {
                    self.traffic.answered();
                    for place in &open {
                        results[*place] = Ok(());
                    }
                    for entry in failed {
                        let Some(place) = entry.id.parse::<usize>().ok().filter(|place| *place < count) else {
                            continue;
                        };
                        let error = error::entry(&entry.code, entry.message.as_deref(), entry.sender_fault, operation);
                        if error.is_retryable() {
                            again.push(place);
                        }
                        results[place] = Err(error);
                    }
                }
                Err(error) => {
                    if error.is_retryable() {
                        self.traffic.troubled(&error);
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

fn unbuilt(error: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Unexpected, "settle", "an entry could not be made").caused_by(error.to_string())
}
