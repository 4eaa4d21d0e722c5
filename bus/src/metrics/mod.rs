//! Counts and durations for Prometheus (feature `metrics`), in a registry of the application's own.
//!
//! [`Metrics::register`] makes the families; [`layer::Metering`](crate::layer::Metering) counts what
//! a bus is asked for, [`middleware::Metering`](crate::middleware::Metering) what handlers do, and
//! [`Metrics::sample`] asks how much waits. The application encodes the registry wherever it serves
//! its metrics. There are no globals, so two buses of one process can be told apart by
//! [sub-registries](Registry::sub_registry_with_label).
//!
//! Names and buckets follow the OpenTelemetry
//! [conventions for messaging metrics](https://opentelemetry.io/docs/specs/semconv/messaging/messaging-metrics/)
//! where those have them, spelled as Prometheus wants it.
//!
//! | family | labels | counted by |
//! |---|---|---|
//! | `messaging_client_sent_messages_total` | `destination`, `outcome`: accepted, refused, unknown, cancelled | layer |
//! | `messaging_client_consumed_messages_total` | subscription | layer |
//! | `messaging_client_settlements_total` | subscription, `verdict`: ack, nack, reject; `outcome`: settled, sent, `lease_lost`, failed, cancelled | layer |
//! | `messaging_client_leases_lost_total` | subscription | layer |
//! | `messaging_client_in_flight_messages` | subscription | layer |
//! | `messaging_client_operation_duration_seconds` | `operation`: publish, settle, extend | layer |
//! | `messaging_process_duration_seconds` | subscription, `outcome`: ok, retry, reject, unavailable, cancelled, panicked | middleware |
//! | `messaging_process_handlers_running` | subscription | middleware |
//! | `messaging_process_attempts` | subscription | middleware |
//! | `messaging_process_delivery_lag_seconds` | subscription | middleware |
//! | `messaging_depth_messages` | subscription, `state`: ready, delayed, `in_flight` | sample |
//!
//! A subscription is two labels, `destination` and `group`; the default group is empty. Every label
//! has few values: names that were declared, and the words above. Message ids and texts of errors are
//! for spans and log lines.

mod labels;

use std::fmt;
use std::sync::Arc;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
pub use prometheus_client::registry::Registry;
use prometheus_client::registry::Unit;

pub(crate) use labels::{At, To};

/// The crate that encodes a [`Registry`], in the version this crate was built with.
pub use prometheus_client;

use crate::{Bus, Depth, Moment, Result, Subscription};

/// In seconds: what the OpenTelemetry conventions advise for both durations.
const DURATION_BUCKETS: [f64; 14] = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];
/// In seconds: from what nobody notices, over the spans alerts are set to, to a day.
const LAG_BUCKETS: [f64; 10] = [0.01, 0.1, 1.0, 10.0, 60.0, 300.0, 900.0, 3_600.0, 21_600.0, 86_400.0];
/// Up to the default of [`Policy::attempt_count_max`](crate::pipeline::Policy::attempt_count_max),
/// and its double for those who raise it.
const ATTEMPT_BUCKETS: [f64; 6] = [1.0, 2.0, 3.0, 4.0, 5.0, 10.0];

/// Histograms by label set, each with the buckets of its family.
type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

/// The families of metrics of one registry. A clone counts into the same families.
#[derive(Clone)]
pub struct Metrics(Arc<Families>);

pub(crate) struct Families {
    pub(crate) sent: Family<To, Counter>,
    pub(crate) consumed: Family<At<0>, Counter>,
    pub(crate) settlements: Family<At<2>, Counter>,
    pub(crate) leases_lost: Family<At<0>, Counter>,
    pub(crate) in_flight: Family<At<0>, Gauge>,
    operation_duration: Histograms<[(&'static str, &'static str); 1]>,
    pub(crate) process_duration: Histograms<At<1>>,
    pub(crate) handlers_running: Family<At<0>, Gauge>,
    pub(crate) attempts: Histograms<At<0>>,
    pub(crate) delivery_lag: Histograms<At<0>>,
    depth: Family<At<1>, Gauge>,
}

impl Metrics {
    /// Adds the families to `registry`, once.
    pub fn register(registry: &mut Registry) -> Self {
        let families = Families {
            sent: Family::default(),
            consumed: Family::default(),
            settlements: Family::default(),
            leases_lost: Family::default(),
            in_flight: Family::default(),
            operation_duration: Family::new_with_constructor(|| Histogram::new(DURATION_BUCKETS)),
            process_duration: Family::new_with_constructor(|| Histogram::new(DURATION_BUCKETS)),
            handlers_running: Family::default(),
            attempts: Family::new_with_constructor(|| Histogram::new(ATTEMPT_BUCKETS)),
            delivery_lag: Family::new_with_constructor(|| Histogram::new(LAG_BUCKETS)),
            depth: Family::default(),
        };
        families.add_to(registry);
        Self(Arc::new(families))
    }

    /// Asks how much waits on each subscription and shows it until the next call. The caller says
    /// when: before the registry is encoded, or every few seconds where the broker's answer costs.
    ///
    /// What cannot be counted is not shown, rather than shown as it was. A dropped call leaves the
    /// later ones as they were: whoever gave it a time [forgets](Self::forget) them when that is over.
    ///
    /// # Errors
    /// The first error of [`Bus::depth`]; the other subscriptions are shown all the same.
    pub async fn sample(&self, bus: &dyn Bus, subscriptions: &[Subscription]) -> Result<()> {
        let mut answer = Ok(());
        for subscription in subscriptions {
            match bus.depth(subscription).await {
                Ok(depth) => self.show(subscription, depth),
                Err(error) => {
                    self.hide(subscription);
                    answer = answer.and(Err(error));
                }
            }
        }
        answer
    }

    fn show(&self, subscription: &Subscription, depth: Depth) {
        let states =
            [("ready", depth.ready_count), ("delayed", depth.delayed_count), ("in_flight", depth.in_flight_count)];
        for (state, count) in states {
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            self.0.depth.get_or_create(&At::new(subscription, [("state", state)])).set(count);
        }
    }

    /// Shows nothing of these subscriptions until they are sampled again.
    pub fn forget(&self, subscriptions: &[Subscription]) {
        subscriptions.iter().for_each(|subscription| self.hide(subscription));
    }

    fn hide(&self, subscription: &Subscription) {
        for state in ["ready", "delayed", "in_flight"] {
            self.0.depth.remove(&At::new(subscription, [("state", state)]));
        }
    }

    pub(crate) fn families(&self) -> &Families {
        &self.0
    }

    /// A call that was answered.
    pub(crate) fn took(&self, operation: &'static str, from: Moment, to: Moment) {
        let histogram = self.0.operation_duration.get_or_create(&[("operation", operation)]);
        histogram.observe(to.since(from).as_secs_f64());
    }
}

impl Families {
    fn add_to(&self, registry: &mut Registry) {
        let messages = || Unit::Other("messages".to_owned());
        registry.register("messaging_client_sent_messages", "Messages given to the bus", self.sent.clone());
        registry.register(
            "messaging_client_consumed_messages",
            "Deliveries handed out by the bus",
            self.consumed.clone(),
        );
        registry.register("messaging_client_settlements", "Deliveries settled", self.settlements.clone());
        registry.register(
            "messaging_client_leases_lost",
            "Deliveries whose lease was lost while they were in hand",
            self.leases_lost.clone(),
        );
        registry.register_with_unit(
            "messaging_client_in_flight",
            "Deliveries in hand: handed out, not yet settled or given back",
            messages(),
            self.in_flight.clone(),
        );
        registry.register_with_unit(
            "messaging_client_operation_duration",
            "Calls to the bus, until they were answered",
            Unit::Seconds,
            self.operation_duration.clone(),
        );
        registry.register_with_unit(
            "messaging_process_duration",
            "Runs of the handler",
            Unit::Seconds,
            self.process_duration.clone(),
        );
        registry.register("messaging_process_handlers_running", "Handlers running", self.handlers_running.clone());
        registry.register("messaging_process_attempts", "Which attempt each handler start was", self.attempts.clone());
        registry.register_with_unit(
            "messaging_process_delivery_lag",
            "Age of messages when their handler first starts",
            Unit::Seconds,
            self.delivery_lag.clone(),
        );
        registry.register_with_unit("messaging_depth", "Messages on a subscription", messages(), self.depth.clone());
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}
