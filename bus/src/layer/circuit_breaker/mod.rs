//! Not calling a bus that does not answer.

mod circuit;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tracing::{info, warn};

use self::circuit::{Circuit, Entry, Report};
use super::Layer;
use crate::pipeline::Backoff;
use crate::{Bus, BusState, Error, ErrorKind, Outgoing, PublishOutcome, Result, Seams};

/// When a circuit opens, and when it is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CircuitPolicy {
    /// Failures in a row after which it opens; at least 1 is used.
    pub failure_count_max: u32,
    /// Time before it is tried again; it grows with each try that fails.
    pub probe: Backoff,
}

impl Default for CircuitPolicy {
    /// 5 failures in a row; tries from 500 ms to 10 s apart, as the pipeline's.
    fn default() -> Self {
        let probe = Backoff { first: Duration::from_millis(500), max: Duration::from_secs(10) };
        Self { failure_count_max: 5, probe }
    }
}

/// Refuses at once what would be published to a bus that has not answered for a while.
///
/// A call has failed when nothing of its batch was accepted and something was refused or left
/// unknown as [`Unavailable`](ErrorKind::Unavailable), [`Timeout`](ErrorKind::Timeout) or
/// [`Throttled`](ErrorKind::Throttled); one accepted message makes it a success. What was refused
/// for its own sake (too large, no such destination) proves neither. After
/// [`failure_count_max`](CircuitPolicy::failure_count_max) failed calls in a row the circuit opens:
///
/// * Every message is `Refused` as [`Unavailable`](ErrorKind::Unavailable), retryable; the error says
///   since when, why, and when the bus is tried again.
/// * When that time has come one call is let through. If it succeeds the circuit closes; if not, the
///   pause grows. A dropped call is no answer: the next one tries.
/// * [`Bus::state`] is [`Degraded`](BusState::Degraded) with the reason.
///
/// Everything but publishing passes: a pipeline that receives has a breaker of its own.
///
/// * **Default.** [`CircuitPolicy::default`].
/// * **Order.** Inside [`Retry`](super::Retry), whose waits then cost the broker nothing; outside
///   [`Throttle`](super::Throttle) and [`Timeout`](super::Timeout), so that what is refused neither
///   waits nor counts, and a time that ran out is a failure.
/// * **Cancellation.** As the bus behind it.
/// * **Cost.** A lock for a moment before and after each call.
///
/// ```
/// use std::sync::Arc;
/// use bus::layer::{CircuitBreaker, CircuitPolicy, FaultInjection, Faults, LayerExt};
/// use bus::{Bus, BusExt, BusState, Declaration, Destination, Message, Outgoing, Seams};
/// use bus_memory::{MemoryBus, MemoryOptions};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> bus::Result<()> {
/// let seams = Seams::system();
/// let bus: Arc<dyn Bus> = MemoryBus::new(seams.clone(), MemoryOptions::default());
/// let faults = FaultInjection::new(Faults { publish_lost_per_mille: 1_000, ..Faults::default() }, &seams);
/// let report = faults.report();
/// let bus = bus.layer(faults).layer(CircuitBreaker::new(CircuitPolicy::default(), &seams));
///
/// let orders = Destination::new("orders")?;
/// bus.declare(&[Declaration::of(orders.clone())]).await?;
/// for _ in 0..100 {
///     let message = Message::new(seams.message_id("example"), "an order");
///     assert!(!bus.publish_one(Outgoing::new(orders.clone(), message)).await.is_accepted());
/// }
/// assert_eq!(report.counts().publish_lost_count, 5, "the other 95 were refused without a call");
/// assert!(matches!(bus.state(), BusState::Degraded(_)));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct CircuitBreaker {
    policy: CircuitPolicy,
    seams: Seams,
    circuit: Mutex<Circuit>,
}

impl CircuitBreaker {
    /// A closed circuit.
    #[must_use]
    pub fn new(policy: CircuitPolicy, seams: &Seams) -> Self {
        Self { policy, seams: seams.clone(), circuit: Mutex::default() }
    }

    fn circuit(&self) -> MutexGuard<'_, Circuit> {
        self.circuit.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn learn(&self, is_probe: bool, report: Report) {
        let (now, policy) = (self.seams.clock.now(), &self.policy);
        let mut circuit = self.circuit();
        let was_open = circuit.reason().is_some();
        circuit.learn(is_probe, report, policy.failure_count_max, |breaker| {
            breaker.trip(now, policy.probe, self.seams.entropy.as_ref(), "publish");
        });
        match (was_open, circuit.reason()) {
            (false, Some(reason)) => warn!(reason, "the bus does not answer: nothing is published until it does"),
            (true, None) => info!("the bus answers again: publishing goes on"),
            _ => {}
        }
    }
}

#[async_trait]
impl Layer for CircuitBreaker {
    fn state(&self, next: &dyn Bus) -> BusState {
        match (next.state(), self.circuit().reason()) {
            (BusState::Down(why), _) => BusState::Down(why),
            (_, Some(reason)) => BusState::Degraded(format!("not publishing: {reason}")),
            (state, None) => state,
        }
    }

    async fn publish(&self, batch: Vec<Outgoing>, next: &dyn Bus) -> Vec<PublishOutcome> {
        let entry = self.circuit().enter(self.seams.clock.now());
        let mut probe = match entry {
            Entry::Pass => None,
            Entry::Probe => Some(Probe { breaker: self, is_answered: false }),
            Entry::Refuse { retry_in, reason } => {
                return batch.iter().map(|outgoing| not_tried(outgoing, retry_in, &reason)).collect();
            }
        };
        let outcomes = next.publish(batch).await;
        self.learn(probe.is_some(), Report::of(&outcomes));
        if let Some(probe) = &mut probe {
            probe.is_answered = true;
        }
        outcomes
    }

    async fn close(&self, deadline: Duration, next: &dyn Bus) -> Result<()> {
        // A closed bus says so itself, whatever it did before.
        self.circuit().give_way();
        next.close(deadline).await
    }
}

/// The one call under way to a bus that did not answer.
struct Probe<'a> {
    breaker: &'a CircuitBreaker,
    is_answered: bool,
}

impl Drop for Probe<'_> {
    fn drop(&mut self) {
        if !self.is_answered {
            self.breaker.circuit().abandon_probe();
        }
    }
}

fn not_tried(outgoing: &Outgoing, retry_in: Duration, reason: &str) -> PublishOutcome {
    let text = format!("not tried: {reason}; the bus is tried again in {retry_in:?}");
    let error = Error::new(ErrorKind::Unavailable, "publish", text).with("message_id", outgoing.message().id());
    PublishOutcome::Refused(error)
}
