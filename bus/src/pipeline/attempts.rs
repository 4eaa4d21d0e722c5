//! Counting handler starts.

use std::collections::VecDeque;

use async_trait::async_trait;
use rustc_hash::FxHashMap;

use crate::{MessageId, Result, Subscription};

/// Failed messages remembered per pipeline where no store counts; the oldest is forgotten first.
const REMEMBERED_COUNT_MAX: usize = 100_000;

/// Below this many entries a clean-up is not worth its walk.
const TIDY_COUNT_MIN: usize = 1_024;

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
    failed: FxHashMap<MessageId, Failed>,
    /// By the number of the first failure. A message that was settled since is only found to be at the front.
    oldest_first: VecDeque<(u64, MessageId)>,
    last_number: u64,
}

#[derive(Debug)]
struct Failed {
    count: u32,
    /// Tells it from an earlier life of the same message.
    number: u64,
}

impl ProcessAttempts {
    /// The number of the start that happens now.
    pub(super) fn next(&self, message_id: &MessageId) -> u32 {
        if self.failed.is_empty() { 1 } else { self.failed.get(message_id).map_or(1, |failed| failed.count + 1) }
    }

    /// Start number `attempt` failed and the message will come again.
    pub(super) fn failed(&mut self, message_id: &MessageId, attempt: u32) {
        if let Some(failed) = self.failed.get_mut(message_id) {
            failed.count = attempt;
            return;
        }
        self.last_number += 1;
        let number = self.last_number;
        self.failed.insert(message_id.clone(), Failed { count: attempt, number });
        self.oldest_first.push_back((number, message_id.clone()));
        while self.failed.len() > REMEMBERED_COUNT_MAX {
            let Some((number, oldest)) = self.oldest_first.pop_front() else { break };
            if self.is_remembered(number, &oldest) {
                self.failed.remove(&oldest);
            }
        }
    }

    /// The message will not come again.
    pub(super) fn settled(&mut self, message_id: &MessageId) {
        if self.failed.is_empty() || self.failed.remove(message_id).is_none() {
            return;
        }
        // Not one by one: many that failed together are settled one after the other.
        if self.oldest_first.len() > TIDY_COUNT_MIN.max(2 * self.failed.len()) {
            let mut oldest_first = std::mem::take(&mut self.oldest_first);
            oldest_first.retain(|(number, message_id)| self.is_remembered(*number, message_id));
            self.oldest_first = oldest_first;
        }
    }

    fn is_remembered(&self, number: u64, message_id: &MessageId) -> bool {
        self.failed.get(message_id).is_some_and(|failed| failed.number == number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: usize) -> MessageId {
        MessageId::parse(&format!("m{number}")).expect("legal")
    }

    #[test]
    fn the_oldest_failure_is_forgotten_for_the_newest() {
        let mut attempts = ProcessAttempts::default();
        for number in 0..REMEMBERED_COUNT_MAX {
            attempts.failed(&id(number), 1);
        }
        // Its first life is over, and in its second it is not the oldest.
        attempts.settled(&id(0));
        attempts.failed(&id(0), 1);
        attempts.failed(&id(1), 2);
        assert_eq!([0, 1, 2].map(|number| attempts.next(&id(number))), [2, 3, 2]);
        attempts.failed(&id(REMEMBERED_COUNT_MAX), 1);
        assert_eq!([0, 1, 2].map(|number| attempts.next(&id(number))), [2, 1, 2], "1 failed before the others");
        attempts.failed(&id(REMEMBERED_COUNT_MAX + 1), 1);
        assert_eq!([0, 1, 2].map(|number| attempts.next(&id(number))), [2, 1, 1]);
    }

    #[test]
    fn settled_messages_behind_one_that_fails_for_long_do_not_pile_up() {
        let mut attempts = ProcessAttempts::default();
        attempts.failed(&id(0), 1);
        for number in 1..20 * TIDY_COUNT_MIN {
            attempts.failed(&id(number), 1);
            attempts.settled(&id(number));
            assert!(attempts.oldest_first.len() <= TIDY_COUNT_MIN + 1, "{}", attempts.oldest_first.len());
        }
        assert_eq!((attempts.failed.len(), attempts.next(&id(0))), (1, 2));
    }
}
