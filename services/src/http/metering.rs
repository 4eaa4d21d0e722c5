//! Requests, counted and timed for Prometheus.
//!
//! Names and buckets follow the OpenTelemetry
//! [conventions for HTTP metrics](https://opentelemetry.io/docs/specs/semconv/http/http-metrics/).

use std::fmt;
use std::sync::Arc;

use bus::metrics::Registry;
use bus::metrics::prometheus_client::encoding::{EncodeLabelValue, LabelValueEncoder};
use bus::metrics::prometheus_client::metrics::family::Family;
use bus::metrics::prometheus_client::metrics::gauge::Gauge;
use bus::metrics::prometheus_client::metrics::histogram::Histogram;
use bus::metrics::prometheus_client::registry::Unit;
use bus::{Clock, Moment, Seams};
use http::{Method, StatusCode};

/// In seconds, as the conventions advise.
const BUCKETS: [f64; 14] = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

/// The route of a path that has none: there is no end to those.
const NO_ROUTE: &str = "(none)";
/// The status of a request whose client left before its answer.
const LEFT: &str = "cancelled";

type Labels = [(&'static str, Label); 3];

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Label {
    Word(&'static str),
    Status(u16),
}

impl EncodeLabelValue for Label {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        match self {
            Self::Word(word) => word.encode(encoder),
            Self::Status(status) => status.encode(encoder),
        }
    }
}

/// Times requests by method, route and status, and counts those that run.
///
/// Every label has few values: the methods of RFC 9110, the route's pattern (never the path), the
/// status. A request's time ends when its answer is ready to be sent. What the connection refuses by itself,
/// because it cannot be parsed, is not counted.
#[derive(Clone, Debug)]
pub struct Metering {
    clock: Arc<dyn Clock>,
    durations: Family<Labels, Histogram, fn() -> Histogram>,
    running: Gauge,
}

impl Metering {
    /// Adds the families to `registry`, once.
    pub fn register(registry: &mut Registry, seams: &Seams) -> Self {
        let metering = Self {
            clock: Arc::clone(&seams.clock),
            durations: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
            running: Gauge::default(),
        };
        registry.register_with_unit(
            "http_server_request_duration",
            "Requests, until their answer was ready",
            Unit::Seconds,
            metering.durations.clone(),
        );
        registry.register("http_server_active_requests", "Requests that run", metering.running.clone());
        metering
    }

    /// A request to the resource with this pattern, `None` where there is none.
    pub(super) fn begin(&self, method: &Method, route: Option<&'static str>) -> Running<'_> {
        self.running.inc();
        let (method, route) = (word_for(method), route.unwrap_or(NO_ROUTE));
        Running { metering: self, method, route, began: self.clock.now(), status: None }
    }
}

/// One request, counted when it ends, however it ends.
pub(super) struct Running<'a> {
    metering: &'a Metering,
    method: &'static str,
    route: &'static str,
    began: Moment,
    status: Option<StatusCode>,
}

impl Running<'_> {
    pub(super) fn answered(mut self, status: StatusCode) {
        self.status = Some(status);
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let took = self.metering.clock.now().since(self.began);
        let status = self.status.map_or(Label::Word(LEFT), |status| Label::Status(status.as_u16()));
        let labels = [("method", Label::Word(self.method)), ("route", Label::Word(self.route)), ("status", status)];
        self.metering.durations.get_or_create(&labels).observe(took.as_secs_f64());
        self.metering.running.dec();
    }
}

/// Methods of RFC 9110 and RFC 5789 by name, all others by one word, as the conventions ask.
fn word_for(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::CONNECT => "CONNECT",
        Method::OPTIONS => "OPTIONS",
        Method::TRACE => "TRACE",
        Method::PATCH => "PATCH",
        _ => "_OTHER",
    }
}
