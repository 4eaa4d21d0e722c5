//! The page itself: families, probes, and how often they are asked.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bus::capability::Counting;
use bus::layer::{self, LayerExt};
use bus::metrics::prometheus_client::collector::Collector;
use bus::metrics::prometheus_client::encoding::text::encode;
use bus::metrics::prometheus_client::metrics::gauge::ConstGauge;
use bus::metrics::prometheus_client::metrics::info::Info;
use bus::metrics::prometheus_client::registry::Unit;
use bus::metrics::{Metrics, Registry};
use bus::middleware::{self, Middleware};
use bus::{Bus, ClockExt, Moment, Seams, Subscription};
use futures_util::future::join_all;
use http::StatusCode;
use tokio::sync::Mutex;

use crate::http::{Edge, Metering, Problem, Resource, Response, Router, typed};

use super::depth::DepthProbe;
use super::probe::Probe;

/// What the page is written in: [OpenMetrics 1.0](https://prometheus.io/docs/specs/om/open_metrics_spec/).
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// How long what was looked up is good for. Several scrapers, or one in a hurry, cost broker and disk no more
/// than this; counters are always current.
const FRESH: Duration = Duration::from_secs(5);
/// Longest look. All probes look at the same time, and Prometheus gives a scrape 10 s unless told otherwise.
const LOOK_MAX: Duration = Duration::from_secs(3);

/// What one side shows to whoever scrapes it, while it is put together.
///
/// Each side has a page of its own, also where both run in one process: what one page shows is in no other,
/// so sums over all that is scraped are right.
pub struct Page {
    registry: Registry,
    probes: Vec<Box<dyn Probe>>,
    bus_metrics: Metrics,
    http: Metering,
    seams: Seams,
}

impl Page {
    /// The page of `side` of an order system on a bus of `scheme`. The side starts now.
    #[must_use]
    pub fn new(side: &'static str, scheme: &str, seams: &Seams) -> Self {
        let mut registry = Registry::default();
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let build = Info::new([("version", version), ("side", side.to_owned()), ("bus", scheme.to_owned())]);
        registry.register("orders_build", "What runs here", build);
        let started = ConstGauge::new(seams.clock.wall().as_duration().as_secs_f64());
        registry.register_with_unit("process_start_time", "When it was started, since 1970", Unit::Seconds, started);
        let http = Metering::register(&mut registry, seams);
        let bus_metrics = Metrics::register(&mut registry);
        Self { registry, probes: Vec::new(), bus_metrics, http, seams: seams.clone() }
    }

    /// Counts what goes through `bus`. Put on first, it counts what the broker sees.
    #[must_use]
    pub fn metered(&self, bus: Arc<dyn Bus>) -> Arc<dyn Bus> {
        bus.layer(layer::Metering::new(self.bus_metrics.clone(), &self.seams))
    }

    /// What stands around handlers, outermost first: traces, and counts.
    #[must_use]
    pub fn middleware(&self) -> Vec<Arc<dyn Middleware>> {
        vec![
            Arc::new(middleware::Tracing::new(&self.seams)),
            Arc::new(middleware::Metering::new(self.bus_metrics.clone(), &self.seams)),
        ]
    }

    /// Shows how much waits on `subscriptions` and on the dead letters of their destinations, where the bus
    /// counts.
    pub fn show_depth(&mut self, bus: &Arc<dyn Bus>, subscriptions: impl IntoIterator<Item = Subscription>) {
        if bus.capability().depth == Counting::None {
            return;
        }
        for subscription in subscriptions {
            let dead_letters = subscription.destination().dead_letters().ok().map(Subscription::to);
            for counted in std::iter::once(subscription).chain(dead_letters) {
                self.probe(DepthProbe::new(&self.bus_metrics, bus, counted));
            }
        }
    }

    /// Shows what `collector` has, read from memory at each scrape.
    pub fn collect(&mut self, collector: Box<dyn Collector>) {
        self.registry.register_collector(collector);
    }

    pub(crate) fn registry(&mut self) -> &mut Registry {
        &mut self.registry
    }

    pub(crate) fn probe(&mut self, probe: impl Probe + 'static) {
        self.probes.push(Box::new(probe));
    }

    /// `router` with `GET /metrics`, each of its requests counted, timed and traced.
    ///
    /// The page is open, as `/readyz` is: it names queues and routes, and neither orders nor customers, and a
    /// scraper has no token of ours. It answers when all other routes are full.
    #[must_use]
    pub fn serve_on<S: Send + Sync + 'static>(self, router: Router<S>) -> Edge {
        let Self { registry, probes, http, seams, .. } = self;
        let router = router.metered_by(http).traced_by(seams.clone());
        let scrape = Arc::new(Scrape { registry, probes, seams, looked: Mutex::new(None) });
        let answer = move |_, request: crate::http::Request| {
            let scrape = Arc::clone(&scrape);
            async move {
                request.query(&[])?;
                scrape.answer().await
            }
        };
        router.resource(Resource::at("/metrics").get(answer).uncapped()).into_edge()
    }
}

/// The finished page.
struct Scrape {
    registry: Registry,
    probes: Vec<Box<dyn Probe>>,
    seams: Seams,
    /// When the last look began. Held by whoever looks; others wait for what they would see.
    looked: Mutex<Option<Moment>>,
}

impl Scrape {
    async fn answer(&self) -> Result<Response, Problem> {
        self.look().await;
        let mut text = String::new();
        encode(&mut text, &self.registry).map_err(Problem::internal)?;
        Ok(typed(StatusCode::OK, CONTENT_TYPE, text.into()))
    }

    async fn look(&self) {
        let clock = &self.seams.clock;
        let mut looked = self.looked.lock().await;
        let now = clock.now();
        if looked.is_some_and(|then| now.since(then) < FRESH) {
            return;
        }
        let looks = self.probes.iter().map(|probe| async {
            if clock.timeout(LOOK_MAX, probe.look()).await.is_none() {
                probe.forget();
            }
        });
        join_all(looks).await;
        *looked = Some(now);
    }
}

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Page").field("registry", &self.registry).finish_non_exhaustive()
    }
}
