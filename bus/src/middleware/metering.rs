//! What handlers do, counted.

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

use super::Middleware;
use super::outcome::{CANCELLED, word_for};
use crate::metrics::{At, Metrics};
use crate::pipeline::{Envelope, Handled, Handler};
use crate::{Clock, Moment, Seams, Subscription};

/// Counts and times the runs of a handler; [`metrics`](crate::metrics) lists the families.
///
/// **What.** How long each run took and what it answered (`cancelled` for a dropped handler,
/// `panicked` for one that panicked), how many run now, which attempt each start was, and how old a
/// message is when its handler first starts. The age is the time since its id was made, where that
/// is a UUIDv7, by the producer's clock and ours: clocks that disagree show as lag. It grows while a
/// consumer falls behind, so it is what to alert on.
///
/// **Default.** None: families come from [`Metrics::register`], time from the seams.
///
/// **Order.** Innermost, put on first, to time the handler alone; outside of
/// what waits or repeats, to time that too.
///
/// **Cancellation.** A dropped handler counts as `cancelled`, and as no longer running.
///
/// **Cost.** Three looks at the clock and four metrics per run, measured at 0.5 µs. The first subscription is kept at hand;
/// a handler shared by several costs the others a few lookups.
///
/// ```
/// use bus::metrics::{Metrics, Registry, prometheus_client::encoding::text::encode};
/// use bus::middleware::{HandlerExt, Metering};
/// use bus::pipeline::{Envelope, Handler};
/// use bus::{Destination, Message, Seams, Subscription};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), bus::Error> {
/// let seams = Seams::system();
/// let mut registry = Registry::default();
/// let metrics = Metrics::register(&mut registry);
/// let handler = (async |_: Envelope| Ok(())).with(Metering::new(metrics, &seams));
///
/// let message = Message::new(seams.message_id("example"), "2 apples");
/// let id = message.id().clone();
/// let subscription = Subscription::to(Destination::new("orders")?);
/// handler.handle(Envelope::new(message, id, subscription.into(), 1, None)).await.expect("it answers Ok");
///
/// let mut page = String::new();
/// encode(&mut page, &registry).expect("text can be written to a string");
/// let line = r#"messaging_process_duration_seconds_count{destination="orders",group="",outcome="ok"} 1"#;
/// assert!(page.lines().any(|found| found == line));
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Metering {
    metrics: Metrics,
    clock: Arc<dyn Clock>,
    /// The metrics of the first subscription seen; few handlers see another.
    first: OnceLock<Arc<Series>>,
}

/// The metrics of one subscription.
#[derive(Debug)]
struct Series {
    subscription: Subscription,
    running: Gauge,
    attempts: Histogram,
    lag: Histogram,
    succeeded: Histogram,
}

impl Series {
    fn of(metrics: &Metrics, subscription: &Subscription) -> Self {
        let (families, labels) = (metrics.families(), At::new(subscription, []));
        Self {
            subscription: subscription.clone(),
            running: families.handlers_running.get_or_create_owned(&labels),
            attempts: families.attempts.get_or_create_owned(&labels),
            lag: families.delivery_lag.get_or_create_owned(&labels),
            succeeded: families.process_duration.get_or_create_owned(&At::new(subscription, [("outcome", "ok")])),
        }
    }
}

impl Metering {
    /// Counts into `metrics`.
    #[must_use]
    pub fn new(metrics: Metrics, seams: &Seams) -> Self {
        Self { metrics, clock: Arc::clone(&seams.clock), first: OnceLock::new() }
    }

    fn series(&self, subscription: &Subscription) -> Arc<Series> {
        let first = self.first.get_or_init(|| Arc::new(Series::of(&self.metrics, subscription)));
        match first.subscription == *subscription {
            true => Arc::clone(first),
            false => Arc::new(Series::of(&self.metrics, subscription)),
        }
    }

    fn started(&self, envelope: &Envelope) -> Running<'_> {
        let series = self.series(envelope.subscription());
        series.running.inc();
        series.attempts.observe(f64::from(envelope.attempt()));
        if envelope.attempt() == 1
            && let Some(made_at) = envelope.message_id().made_at()
        {
            let age = self.clock.wall().duration_since(made_at);
            series.lag.observe(age.as_secs_f64().max(0.0));
        }
        Running { metering: self, series, began: self.clock.now(), outcome: None }
    }
}

#[async_trait]
impl Middleware for Metering {
    async fn handle(&self, envelope: Envelope, next: &dyn Handler) -> Handled {
        let mut running = self.started(&envelope);
        let handled = next.handle(envelope).await;
        running.outcome = Some(word_for(&handled));
        handled
    }
}

/// One run, counted when it ends, however it ends.
struct Running<'a> {
    metering: &'a Metering,
    series: Arc<Series>,
    began: Moment,
    outcome: Option<&'static str>,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let took = self.metering.clock.now().since(self.began).as_secs_f64();
        let series = &self.series;
        series.running.dec();
        let outcome = self.outcome.unwrap_or_else(|| if std::thread::panicking() { "panicked" } else { CANCELLED });
        if outcome == "ok" {
            series.succeeded.observe(took);
        } else {
            let labels = At::new(&series.subscription, [("outcome", outcome)]);
            self.metering.metrics.families().process_duration.get_or_create(&labels).observe(took);
        }
    }
}
