//! Dead letters back to where they came from.
//!
//! Each is copied to its origin; only when the bus has accepted the copy is the dead letter
//! acknowledged. Interrupted at any point nothing is lost: at worst a message is in both places,
//! with one id, which an idempotent receiver handles once.

use std::fmt;
use std::num::NonZeroU32;

use jiff::Timestamp;
use rustc_hash::FxHashMap;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::letter::Victim;
use super::pace::Pace;
use super::walk::{BATCH_COUNT_MAX, Found, Walk};
use super::{DeadLetters, Ended, Filter};
use crate::{Error, ErrorKind, MessageId, Outgoing, PublishOutcome, Result};

/// Most messages replayed in one run: 100,000, which it remembers in some ten megabytes.
pub const REPLAYED_COUNT_MAX: usize = 100_000;

/// Most failures named one by one in [`Replayed::failures`].
pub const FAILURE_COUNT_MAX: usize = 100;

/// What to replay, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replay {
    /// Which dead letters; by default all.
    pub filter: Filter,
    /// Most messages sent; `None`: all there are.
    pub limit: Option<usize>,
    /// Most messages sent per second, spaced evenly in groups of a tenth of that; `None`: as fast as
    /// the bus takes them.
    pub per_second_max: Option<NonZeroU32>,
    /// Only counts what would be sent. [`DeadLetters::list`] with the same filter shows it.
    pub dry_run: bool,
    /// Whether to stop at the first message that is not accepted; by default it stays among the dead
    /// letters and the others go on. When the bus cannot be reached or is closed to us the run always stops.
    pub stop_at_failure: bool,
}

/// How far a replay has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Dead letters looked at, those that came back during the run included.
    pub examined_count: usize,
    /// Copies accepted at the origin; in a dry run those that would be sent.
    pub replayed_count: usize,
    /// Not accepted, or not known to be: they stay among the dead letters.
    pub failed_count: usize,
    /// Replayed, died again during the run, and left there.
    pub died_again_count: usize,
    /// Accepted at the origin and still among the dead letters, since removing them failed: another
    /// replay sends them twice.
    pub unremoved_count: usize,
}

/// What became of a replay.
#[derive(Debug)]
pub struct Replayed {
    /// The last counts.
    pub progress: Progress,
    /// The first failures, at most [`FAILURE_COUNT_MAX`].
    pub failures: Vec<Failure>,
    /// Why it ended.
    pub ended: Ended,
}

/// A dead letter that was not accepted at its origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Which.
    pub message_id: MessageId,
    /// What the bus answered.
    pub reason: String,
}

impl DeadLetters {
    /// Replays dead letters, in the order the bus hands them out, until none is left that the filter
    /// names, the limit is reached, or `shutdown`. Calls `progress` after each batch.
    ///
    /// A copy keeps id, key, content type, body and headers; those of its rejection stay, and
    /// [`REPLAY_COUNT`](super::REPLAY_COUNT) and [`REPLAY_GROUP`](super::REPLAY_GROUP) are added. A
    /// dead letter whose origin is unknown goes to the destination these dead letters belong to, and
    /// to all its groups. A message that dies again during the run is not sent again in that run.
    /// Order per key is no promise: dead letters were overtaken already, and one that fails holds
    /// back no other.
    ///
    /// `Ok` says how it ended, also when the bus failed in the middle. At `shutdown` a call under way
    /// gets two seconds to be answered. A dropped call loses no message.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) when the destination was not declared, and whatever else
    /// keeps it from receiving; nothing was replayed then.
    pub async fn replay(
        &self,
        replay: Replay,
        shutdown: CancellationToken,
        mut progress: impl FnMut(&Progress) + Send,
    ) -> Result<Replayed> {
        let walk = tokio::select! {
            biased;
            () = shutdown.cancelled() => return Ok(Replayed::nothing(Ended::ShutDown)),
            walk = Walk::begin(self) => walk?,
        };
        info!(subscription = %self.subscription, filter = ?replay.filter, dry_run = replay.dry_run,
            "a replay of dead letters begins");
        let mut run = Run {
            dead_letters: self,
            started: self.seams.clock.wall(),
            pace: Pace::new(replay.per_second_max),
            replay,
            shutdown,
            walk,
            sent: FxHashMap::default(),
            replayed: Replayed::nothing(Ended::Complete),
        };
        loop {
            let step = run.step().await;
            progress(&run.replayed.progress);
            if let Err(ended) = step {
                run.replayed.ended = ended;
                break;
            }
        }
        let Run { walk, replayed, .. } = run;
        walk.finish().await;
        info!(subscription = %self.subscription, progress = %replayed.progress, ended = %replayed.ended,
            "the replay of dead letters has ended");
        Ok(replayed)
    }
}

struct Run<'a> {
    dead_letters: &'a DeadLetters,
    /// When ages are reckoned from.
    started: Timestamp,
    replay: Replay,
    shutdown: CancellationToken,
    walk: Walk,
    pace: Pace,
    /// What was sent in this run, accepted or not, with the replay count it had. One that comes with
    /// a higher count died again.
    sent: FxHashMap<Victim, u32>,
    replayed: Replayed,
}

impl Run<'_> {
    /// One batch, or why there is no other.
    async fn step(&mut self) -> Result<(), Ended> {
        let room = self.replay.limit.map_or(usize::MAX, |limit| limit.saturating_sub(self.tried_count()));
        if room == 0 {
            return Err(Ended::LimitReached);
        }
        if self.sent.len() >= REPLAYED_COUNT_MAX {
            return Err(Ended::Full);
        }
        let found = self.walk.next(self.pace.group_count(BATCH_COUNT_MAX), &self.shutdown).await?;
        self.replayed.progress.examined_count = self.walk.examined_count;
        let (done, due) = self.sort(found, room);
        self.remove(done).await;
        if self.replay.dry_run || due.is_empty() {
            return Ok(());
        }
        if !self.walk.wait(self.pace.next, &self.shutdown).await {
            return Err(Ended::ShutDown);
        }
        self.pace.went(due.len(), self.dead_letters.seams.clock.now());
        self.send(due).await
    }

    fn tried_count(&self) -> usize {
        self.replayed.progress.replayed_count + self.replayed.progress.failed_count
    }

    /// What has only to be removed, and at most `room` that are to be sent. The rest stays in hand.
    fn sort(&mut self, found: Vec<Found>, room: usize) -> (Vec<Found>, Vec<Found>) {
        let (mut done, mut due) = (Vec::new(), Vec::new());
        for one in found {
            let (letter, replay_count) = (&one.letter, one.letter.provenance().replay_count);
            if self.walk.is_unremoved(letter) {
                done.push(one);
            } else if self.sent.get(&letter.victim()).is_some_and(|sent| replay_count > *sent) {
                warn!(subscription = %self.dead_letters.subscription, message_id = %letter.message().id(),
                    reason = letter.provenance().reason, "it died again during the replay: left");
                self.replayed.progress.died_again_count += 1;
            } else if self.replay.filter.matches(letter, self.started) && due.len() < room {
                due.push(one);
            }
        }
        if self.replay.dry_run {
            self.replayed.progress.replayed_count += due.len();
        }
        (done, due)
    }

    async fn send(&mut self, mut due: Vec<Found>) -> Result<(), Ended> {
        self.walk.keep_ours(&mut due);
        let origin = &self.dead_letters.origin;
        let batch: Vec<Outgoing> = due.iter().map(|one| one.letter.to_replay(origin)).collect();
        for one in &due {
            self.sent.insert(one.letter.victim(), one.letter.provenance().replay_count);
        }
        let publishing = self.dead_letters.bus.publish(batch);
        let outcomes = self.walk.see_through(publishing, &self.shutdown).await.unwrap_or_default();
        let unanswered = || {
            let text = "there was no answer; the copy may have arrived";
            PublishOutcome::Unknown(Error::new(ErrorKind::Timeout, "publish", text))
        };
        let outcomes = outcomes.into_iter().chain(std::iter::repeat_with(unanswered));
        let (mut accepted, mut stop) = (Vec::new(), None);
        for (one, outcome) in due.into_iter().zip(outcomes) {
            match outcome {
                PublishOutcome::Accepted(_) => accepted.push(one),
                PublishOutcome::Refused(error) | PublishOutcome::Unknown(error) => {
                    self.failed(&one, &error);
                    stop = stop.or_else(|| self.is_stopped_by(&error).then_some(Ended::Failed(error)));
                }
            }
        }
        self.replayed.progress.replayed_count += accepted.len();
        self.remove(accepted).await;
        stop.map_or(Ok(()), Err)
    }

    fn is_stopped_by(&self, error: &Error) -> bool {
        let concerns_all = matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Closed | ErrorKind::Unauthorized);
        self.replay.stop_at_failure || concerns_all
    }

    fn failed(&mut self, one: &Found, error: &Error) {
        let message_id = one.letter.message().id();
        warn!(subscription = %self.dead_letters.subscription, %message_id, %error,
            "not replayed: it stays among the dead letters");
        self.replayed.progress.failed_count += 1;
        if self.replayed.failures.len() < FAILURE_COUNT_MAX {
            self.replayed.failures.push(Failure { message_id: message_id.clone(), reason: error.to_string() });
        }
    }

    /// Acknowledges dead letters whose copies were accepted.
    async fn remove(&mut self, accepted: Vec<Found>) {
        let outcomes = self.walk.remove(&accepted, &self.shutdown).await;
        for (one, outcome) in accepted.iter().zip(outcomes) {
            let message_id = one.letter.message().id();
            if outcome.is_settled() {
                debug!(subscription = %self.dead_letters.subscription, %message_id, "replayed");
            } else {
                warn!(subscription = %self.dead_letters.subscription, %message_id, ?outcome,
                    "replayed and not removed from the dead letters: removed when it comes again during this run, else sent twice");
            }
        }
        self.replayed.progress.unremoved_count = self.walk.unremoved_count();
    }
}

impl Replayed {
    fn nothing(ended: Ended) -> Self {
        Self { progress: Progress::default(), failures: Vec::new(), ended }
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} examined, {} replayed", self.examined_count, self.replayed_count)?;
        let rest = [
            (self.failed_count, "failed"),
            (self.died_again_count, "died again"),
            (self.unremoved_count, "not removed"),
        ];
        for (count, what) in rest.into_iter().filter(|(count, _)| *count > 0) {
            write!(f, ", {count} {what}")?;
        }
        Ok(())
    }
}
