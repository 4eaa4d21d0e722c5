//! Publishes outbox rows until each is accepted.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::pipeline::Backoff;
use crate::{Bus, ClockExt, Error, ErrorKind, Outgoing, PublishOutcome, Result, Seams};

use super::window::{LaneName, Window};
use super::{Outbox, OutboxRow, RelayStatus, Relayed};

/// Most rows in one publish call.
const WAVE_COUNT_MAX: usize = 512;
/// Most rows read ahead of acceptance.
const WINDOW_COUNT_MAX: usize = 4_096;
/// Delay before a row that was not accepted is sent again.
const RETRY: Backoff = Backoff { first: Duration::from_millis(200), max: Duration::from_secs(15) };
/// Time a call in flight has to finish once shutdown was asked for; what it leaves open is sent again
/// by the next process.
const DRAIN: Duration = Duration::from_secs(2);

type Observer = dyn Fn(&OutboxRow) + Send + Sync;

/// Moves rows from an outbox to a bus, per key in order.
///
/// A row that is not accepted holds back the later rows of its key; an unknown outcome is resent
/// with identical id and bytes. A row the bus refuses for good is parked and lets other keys pass.
pub struct Relay {
    bus: Arc<dyn Bus>,
    outbox: Arc<dyn Outbox>,
    seams: Seams,
    observer: Option<Arc<Observer>>,
    status: RelayStatus,
}

impl std::fmt::Debug for Relay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Relay").field("status", &self.status).finish_non_exhaustive()
    }
}

impl Relay {
    /// A relay from `outbox` to `bus`. One per outbox.
    #[must_use]
    pub fn new(bus: Arc<dyn Bus>, outbox: Arc<dyn Outbox>, seams: Seams) -> Self {
        Self { bus, outbox, seams, observer: None, status: RelayStatus::default() }
    }

    /// Calls `observer` for each row right after the bus accepted it.
    #[must_use]
    pub fn observed_by(mut self, observer: impl Fn(&OutboxRow) + Send + Sync + 'static) -> Self {
        self.observer = Some(Arc::new(observer));
        self
    }

    /// How it is doing, for readiness.
    #[must_use]
    pub fn status(&self) -> RelayStatus {
        self.status.clone()
    }

    /// Runs until `shutdown`; what is under way then gets a short time to finish.
    pub async fn run(self, shutdown: CancellationToken) {
        tokio::select! {
            biased;
            () = self.relay(&shutdown) => {}
            () = self.out_of_time(&shutdown) => {}
        }
    }

    async fn relay(&self, shutdown: &CancellationToken) {
        let mut window = Window::default();
        let mut relayed: Vec<Relayed> = Vec::new();
        let mut store_failed = false;
        loop {
            let exchanged = self.exchange(&mut window, &mut relayed).await;
            if let Err(error) = exchanged {
                if shutdown.is_cancelled() {
                    return;
                }
                store_failed = true;
                self.troubled(&format!("outbox: {error}"));
                self.pause(shutdown).await;
                continue;
            }
            // A row that waits for its retry says by itself when its trouble is over.
            if std::mem::take(&mut store_failed) && window.due().is_none() {
                self.recovered();
            }
            let wave = window.wave(self.seams.clock.now(), WAVE_COUNT_MAX, self.bus.capability().publish_atomic);
            if wave.is_empty() {
                // Only now: what the last handlers have caused is still published.
                if shutdown.is_cancelled() {
                    return;
                }
                self.wait(&window, shutdown).await;
                continue;
            }
            let batch: Vec<Outgoing> = wave.iter().map(|(_, row)| row.outgoing.clone()).collect();
            let outcomes = self.bus.publish(batch).await;
            self.take_outcomes(&mut window, wave, outcomes, &mut relayed);
        }
    }

    /// Tells the outbox what became of rows, and reads the next ones.
    async fn exchange(&self, window: &mut Window, relayed: &mut Vec<Relayed>) -> Result<()> {
        if !relayed.is_empty() {
            self.outbox.relayed(relayed).await?;
            relayed.clear();
        }
        let room = WINDOW_COUNT_MAX.saturating_sub(window.row_count());
        if room > 0 {
            window.add(self.outbox.pending(window.read_to(), room).await?);
        }
        Ok(())
    }

    /// Records each outcome; in a lane nothing after the first row that was not accepted counts.
    fn take_outcomes(
        &self,
        window: &mut Window,
        wave: Vec<(LaneName, OutboxRow)>,
        outcomes: Vec<PublishOutcome>,
        relayed: &mut Vec<Relayed>,
    ) {
        let now = self.seams.clock.now();
        let mut held_back: BTreeSet<LaneName> = BTreeSet::new();
        let mut trouble = None;
        let unanswered = || {
            let message = "the backend answered fewer messages than it was given";
            PublishOutcome::Unknown(Error::new(ErrorKind::Unexpected, "publish", message))
        };
        let outcomes = outcomes.into_iter().chain(std::iter::repeat_with(unanswered));
        for ((name, row), outcome) in wave.into_iter().zip(outcomes) {
            if held_back.contains(&name) {
                continue;
            }
            match outcome {
                PublishOutcome::Accepted(_) => {
                    window.accepted(&name, row.sequence);
                    if let Some(observer) = &self.observer {
                        observer(&row);
                    }
                    relayed.push(Relayed::Sent(row.sequence));
                }
                PublishOutcome::Refused(refusal) if !refusal.is_retryable() => {
                    let message = row.outgoing.message();
                    error!(destination = %row.outgoing.destination(), message_id = %message.id(), error = %refusal,
                        "the bus refuses this message for good: parked, later ones of its key wait behind it");
                    self.status.parked();
                    relayed.push(Relayed::Parked(row.sequence, refusal.to_string()));
                    window.park(name.clone());
                    held_back.insert(name);
                }
                PublishOutcome::Refused(error) | PublishOutcome::Unknown(error) => {
                    let identity = row.outgoing.message().id().to_string();
                    let entropy = self.seams.entropy.as_ref();
                    window.failed(&name, |count| now + RETRY.delay(count, entropy, "relay", &identity));
                    held_back.insert(name);
                    trouble = Some(error.to_string());
                }
            }
        }
        match trouble {
            Some(trouble) => self.troubled(&trouble),
            None => self.recovered(),
        }
    }

    /// Until there is something to send: a new row, a retry that is due, or shutdown.
    async fn wait(&self, window: &Window, shutdown: &CancellationToken) {
        let full = window.row_count() >= WINDOW_COUNT_MAX;
        let due = window.due();
        tokio::select! {
            biased;
            () = shutdown.cancelled() => {}
            () = self.outbox.wait(window.read_to()), if !full => {}
            () = self.seams.clock.sleep_until(due.unwrap_or_default()), if due.is_some() => {}
        }
    }

    /// A short rest when the store does not answer.
    async fn pause(&self, shutdown: &CancellationToken) {
        tokio::select! {
            biased;
            () = shutdown.cancelled() => {}
            () = self.seams.clock.sleep(RETRY.first) => {}
        }
    }

    async fn out_of_time(&self, shutdown: &CancellationToken) {
        shutdown.cancelled().await;
        self.seams.clock.sleep(DRAIN).await;
    }

    fn recovered(&self) {
        if self.status.set_trouble(None) {
            info!("publishing again");
        }
    }

    fn troubled(&self, trouble: &str) {
        if self.status.set_trouble(Some(trouble.to_owned())) {
            warn!(trouble, "cannot publish: rows wait in the outbox and are sent again");
        }
    }
}
