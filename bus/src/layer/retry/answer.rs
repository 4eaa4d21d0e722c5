//! What is known about one message over all its publishes.

use crate::{MessageKey, Outgoing, PublishOutcome};

/// The answer so far.
#[derive(Debug, Default)]
pub(super) struct Answer {
    last: Option<PublishOutcome>,
    /// An earlier publish may have been accepted: later ones cannot say that it was not.
    is_doubtful: bool,
}

impl Answer {
    pub(super) fn take(&mut self, outcome: PublishOutcome) {
        self.is_doubtful |= matches!(outcome, PublishOutcome::Unknown(_));
        self.last = Some(outcome);
    }

    /// Whether another publish may end better.
    pub(super) fn is_open(&self) -> bool {
        match &self.last {
            Some(PublishOutcome::Refused(error)) => error.is_retryable(),
            Some(PublishOutcome::Unknown(_)) => true,
            Some(PublishOutcome::Accepted(_)) | None => false,
        }
    }

    fn is_refused_for_good(&self) -> bool {
        matches!(&self.last, Some(PublishOutcome::Refused(error)) if !error.is_retryable())
    }

    pub(super) fn into_outcome(self) -> PublishOutcome {
        match self.last {
            Some(PublishOutcome::Refused(error)) if self.is_doubtful => PublishOutcome::Unknown(error),
            Some(outcome) => outcome,
            None => unreachable!("every message is published or held back"),
        }
    }
}

/// The places of an atomic batch to publish again: not those behind a message refused for good, for
/// which they were refused.
pub(super) fn worth_another(batch: &[Outgoing], answers: &[Answer]) -> Vec<usize> {
    let mut refused_keys: Vec<&MessageKey> = Vec::new();
    let mut wanted = Vec::new();
    for (index, (outgoing, answer)) in batch.iter().zip(answers).enumerate() {
        let key = outgoing.message().key();
        let is_behind = key.is_some_and(|key| refused_keys.contains(&key));
        if answer.is_refused_for_good() {
            refused_keys.extend(key);
        } else if answer.is_open() && !is_behind {
            wanted.push(index);
        }
    }
    wanted
}
