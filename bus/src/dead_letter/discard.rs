//! Dead letters gone for good.

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::walk::{BATCH_COUNT_MAX, Walk};
use super::{DeadLetters, Ended, Filter};
use crate::Result;

/// What to discard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Discard {
    /// Which dead letters; by default all.
    pub filter: Filter,
    /// Most that are discarded; `None`: all there are.
    pub limit: Option<usize>,
    /// Only counts what would be discarded.
    pub dry_run: bool,
}

/// What became of them.
#[derive(Debug)]
pub struct Discarded {
    /// Dead letters looked at.
    pub examined_count: usize,
    /// Gone; in a dry run those that would be.
    pub discarded_count: usize,
    /// Still there, as far as is known: removing them failed, though tried again whenever they came again,
    /// three times at most.
    pub failed_count: usize,
    /// Why it ended.
    pub ended: Ended,
}

impl DeadLetters {
    /// Removes the dead letters that the filter names, until none is left, the limit is reached, or
    /// `shutdown`. There is no way back.
    ///
    /// `Ok` says how it ended, also when the bus failed in the middle. Of a dropped call each dead
    /// letter is gone or there.
    ///
    /// # Errors
    /// As for [`replay`](Self::replay).
    pub async fn discard(&self, discard: Discard, shutdown: CancellationToken) -> Result<Discarded> {
        let mut walk = tokio::select! {
            biased;
            () = shutdown.cancelled() => return Ok(Discarded::nothing()),
            walk = Walk::begin(self) => walk?,
        };
        let now = self.seams.clock.wall();
        let mut result = Discarded::nothing();
        result.ended = loop {
            let room = discard.limit.map_or(usize::MAX, |limit| limit.saturating_sub(result.discarded_count));
            if room == 0 {
                break Ended::LimitReached;
            }
            let mut found = match walk.next(BATCH_COUNT_MAX, &shutdown).await {
                Ok(found) => found,
                Err(ended) => break ended,
            };
            found.retain(|one| discard.filter.matches(&one.letter, now));
            found.truncate(room);
            if discard.dry_run {
                result.discarded_count += found.len();
                continue;
            }
            for (one, outcome) in found.iter().zip(walk.remove(&found, &shutdown).await) {
                let message_id = one.letter.message().id();
                if outcome.is_settled() {
                    info!(subscription = %self.subscription, %message_id, "a dead letter was discarded");
                    result.discarded_count += 1;
                } else {
                    warn!(subscription = %self.subscription, %message_id, ?outcome, "a dead letter was not discarded");
                }
            }
        };
        (result.examined_count, result.failed_count) = (walk.examined_count, walk.unremoved_count());
        walk.finish().await;
        info!(subscription = %self.subscription, discarded_count = result.discarded_count, dry_run = discard.dry_run,
            ended = %result.ended, "discarding dead letters has ended");
        Ok(result)
    }
}

impl Discarded {
    fn nothing() -> Self {
        Self { examined_count: 0, discarded_count: 0, failed_count: 0, ended: Ended::ShutDown }
    }
}
