//! Counting handler starts.

use std::collections::VecDeque;

use async_trait::async_trait;
use rustc_hash::FxHashMap;

use crate::{MessageId, Result, Subscription};

/// Failed messages remembered per pipeline where no store counts; the oldest is forgotten first.
const REMEMBERED_COUNT_MAX: usize = 100_000;

/// Counts handler starts durably, in the inbox row. Implemented by an application's store.
#[async_trait]
pub trait Attempts: Send + Sync {
    /// Counts one start for each message before it happens; answers in input order.
    ///
    /// `Ok` promises that the counts, and whatever an answer of [`Begun::Done`] rests on, are durable.
    ///
    /// # Errors
    /// Any error pauses the subscription. Nothing was started, though starts may have been counted: an
    /// answer that is lost leaves that open.
    async fn begin(&self, subscription: &Subscription, messages: &[MessageId]) -> Result<Vec<Begun>>;

    /// Takes one start back from each message: its handler found a dependency down. A dropped call leaves
    /// each start counted or not.
    ///
    /// # Errors
    /// On an error the starts stay counted, and after ten seconds without an answer.
    async fn forgive(&self, subscription: &Subscription, messages: &[MessageId]) -> Result<()>;

    /// The message is in the dead letters: should it be replayed, it begins with a first attempt.
    ///
    /// # Errors
    /// On an error a replay goes on with the old count.
    async fn forget(&self, subscription: &Subscription, message: &MessageId) -> Result<()>;
}

/// The answer to one intended start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begun {
    /// This is start number n, from 1.
    Attempt(u32),
    /// The message was processed before: acknowledge it.
    Done,
}

/// Counts in this process, from failures: a message that never failed costs nothing.
#[derive(Debug, Default)]
pub(super) struct ProcessAttempts {
    failed: FxHashMap<MessageId, u32>,
    oldest_first: VecDeque<MessageId>,
}

impl ProcessAttempts {
    /// The number of the start that happens now.
    pub(super) fn next(&self, message_id: &MessageId) -> u32 {
        if self.failed.is_empty() { 1 } else { self.failed.get(message_id).map_or(1, |count| count + 1) }
    }

    /// Start number `attempt` failed and the message will come again.
    pub(super) fn failed(&mut self, message_id: &MessageId, attempt: u32) {
        if self.failed.insert(message_id.clone(), attempt).is_none() {
            self.oldest_first.push_back(message_id.clone());
        }
        while self.oldest_first.len() > REMEMBERED_COUNT_MAX {
            if let Some(oldest) = self.oldest_first.pop_front() {
                self.failed.remove(&oldest);
            }
        }
    }

    /// The message will not come again.
    pub(super) fn settled(&mut self, message_id: &MessageId) {
        if !self.failed.is_empty() && self.failed.remove(message_id).is_some() {
            self.oldest_first.retain(|known| known != message_id);
        }
    }
}
