//! What was met is held until the end, because what is given back would be met again.
//!
//! Leases are extended meanwhile, where the bus does that; what is lost all the same is let go.

use std::collections::BTreeMap;
use std::future::{Future, pending};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use tracing::warn;

use crate::{Clock, ClockExt, ExtendOutcome, Lease, Moment, Receiver, Token, Unsettled};

/// Most leases extended in one call: the others are not kept waiting for the answer.
const EXTEND_COUNT_MAX: usize = 1_000;
/// Most deliveries given back in one call.
const RELEASE_COUNT_MAX: usize = 1_000;
/// Longest time for giving everything back; what is left then returns like any dropped delivery.
const RELEASE_MAX: Duration = Duration::from_secs(10);

type Extension = Pin<Box<dyn Future<Output = (Vec<u64>, Vec<ExtendOutcome>)> + Send>>;

/// Deliveries in the order they came.
pub(super) struct Hand {
    receiver: Arc<dyn Receiver>,
    clock: Arc<dyn Clock>,
    /// What leases are extended to, where the bus extends them.
    extension: Option<Duration>,
    held: BTreeMap<u64, Held>,
    next_serial: u64,
    /// When a lease needs to be looked after.
    attend_at: Option<Moment>,
    /// A call under way; it goes on when a wait beside it is over.
    extending: Option<Extension>,
}

struct Held {
    unsettled: Unsettled,
    lease_ends: Option<Moment>,
    attend_at: Option<Moment>,
}

impl Hand {
    pub(super) fn new(receiver: Arc<dyn Receiver>, clock: Arc<dyn Clock>, extension: Option<Duration>) -> Self {
        Self { receiver, clock, extension, held: BTreeMap::new(), next_serial: 0, attend_at: None, extending: None }
    }

    pub(super) fn receiver(&self) -> &Arc<dyn Receiver> {
        &self.receiver
    }

    pub(super) fn count(&self) -> usize {
        self.held.len()
    }

    /// Holds a delivery and says under which number.
    pub(super) fn take_in(&mut self, unsettled: Unsettled, lease: Lease) -> u64 {
        let serial = self.next_serial;
        self.next_serial += 1;
        let attend_at = lease.deadline.map(|ends| self.attend_before(ends));
        self.attend_at = [self.attend_at, attend_at].into_iter().flatten().min();
        self.held.insert(serial, Held { unsettled, lease_ends: lease.deadline, attend_at });
        serial
    }

    /// Half-way to the end, so that an extension may fail and be repeated; at the end where there is none.
    fn attend_before(&self, ends: Moment) -> Moment {
        let now = self.clock.now();
        if self.extension.is_some() { now + ends.since(now) / 2 } else { ends }
    }

    /// Whether a delivery is still ours, as far as is known.
    pub(super) fn has(&self, serial: u64) -> bool {
        let now = self.clock.now();
        self.held.get(&serial).is_some_and(|held| held.lease_ends.is_none_or(|ends| now < ends))
    }

    /// Takes a delivery out, to settle it.
    pub(super) fn take_out(&mut self, serial: u64) -> Option<Unsettled> {
        self.held.remove(&serial).map(|held| held.unsettled)
    }

    /// Does `work` and looks after leases meanwhile.
    pub(super) async fn holding<F: Future>(&mut self, work: F) -> F::Output {
        let mut work = pin!(work);
        let receiver = Arc::clone(&self.receiver);
        let mut can_lose = true;
        loop {
            tokio::select! {
                biased;
                // Before what `work` may receive: it comes again.
                lost = receiver.lost(), if can_lose => {
                    // A receiver that was closed has nothing to wait for.
                    can_lose = !lost.is_empty();
                    self.lost(&lost);
                }
                output = &mut work => return output,
                () = self.attend() => {}
            }
        }
    }

    /// Waits until leases need an extension and extends them. Dropping the call loses nothing.
    async fn attend(&mut self) {
        if self.extending.is_none() {
            match self.attend_at {
                None => return pending().await,
                Some(at) => self.clock.sleep_until(at).await,
            }
            self.extending = self.extend_due();
        }
        let Some(call) = &mut self.extending else { return };
        let (serials, outcomes) = call.await;
        self.extending = None;
        let capped = self.extended(serials, outcomes);
        if !capped.is_empty() {
            self.receiver.release(capped).await;
        }
    }

    /// Lets go of what has ended and begins to extend what soon will.
    fn extend_due(&mut self) -> Option<Extension> {
        let now = self.clock.now();
        for held in self.held.extract_if(.., |_, held| held.lease_ends.is_some_and(|ends| ends <= now)) {
            held.1.unsettled.discharge();
        }
        self.plan();
        let by = self.extension?;
        let due = |held: &Held| held.attend_at.is_some_and(|at| at <= now + by / 4);
        let due = self.held.iter().filter(|(_, held)| due(held)).take(EXTEND_COUNT_MAX);
        let (serials, tokens): (Vec<u64>, Vec<Token>) =
            due.map(|(serial, held)| (*serial, held.unsettled.token())).unzip();
        if serials.is_empty() {
            return None;
        }
        let receiver = Arc::clone(&self.receiver);
        Some(Box::pin(async move { (serials, receiver.extend(&tokens, by).await) }))
    }

    /// Notes new deadlines and answers what can be kept no longer.
    fn extended(&mut self, serials: Vec<u64>, outcomes: Vec<ExtendOutcome>) -> Vec<Unsettled> {
        let mut capped = Vec::new();
        for (serial, outcome) in serials.into_iter().zip(outcomes) {
            match outcome {
                ExtendOutcome::Until(ends) => {
                    let attend_at = self.attend_before(ends);
                    if let Some(held) = self.held.get_mut(&serial) {
                        (held.lease_ends, held.attend_at) = (Some(ends), Some(attend_at));
                    }
                }
                ExtendOutcome::Capped => capped.extend(self.take_out(serial)),
                ExtendOutcome::LeaseLost => self.let_go(serial),
                ExtendOutcome::Failed(error) => self.not_extended(serial, &error),
            }
        }
        self.plan();
        capped
    }

    /// The old deadline stands: half of what is left is waited until the next try.
    fn not_extended(&mut self, serial: u64, error: &crate::Error) {
        warn!(%error, "the lease of a dead letter was not extended; trying again before it ends");
        let now = self.clock.now();
        if let Some(held) = self.held.get_mut(&serial)
            && let Some(ends) = held.lease_ends
        {
            // A try every millisecond at most, and the end is the last.
            let pause = (ends.since(now) / 2).max(Duration::from_millis(1));
            held.attend_at = Some(ends.min(now + pause));
        }
    }

    fn plan(&mut self) {
        self.attend_at = self.held.values().filter_map(|held| held.attend_at).min();
    }

    fn lost(&mut self, tokens: &[Token]) {
        let lost = |held: &Held| tokens.contains(&held.unsettled.token());
        for held in self.held.extract_if(.., |_, held| lost(held)) {
            held.1.unsettled.discharge();
        }
    }

    fn let_go(&mut self, serial: u64) {
        if let Some(unsettled) = self.take_out(serial) {
            unsettled.discharge();
        }
    }

    /// Gives everything back as if it had never been received, and closes the receiver.
    pub(super) async fn give_back(self) {
        let Self { receiver, clock, held, .. } = self;
        let mut unsettled = held.into_values().map(|held| held.unsettled);
        let giving_back = async {
            loop {
                let batch: Vec<Unsettled> = unsettled.by_ref().take(RELEASE_COUNT_MAX).collect();
                if batch.is_empty() {
                    break;
                }
                receiver.release(batch).await;
            }
            receiver.close().await;
        };
        if clock.timeout(RELEASE_MAX, giving_back).await.is_none() {
            warn!("dead letters were not given back in time: they come again when their leases end");
        }
    }
}
