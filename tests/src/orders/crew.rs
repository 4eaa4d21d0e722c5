//! The consumer in the test's own process, so that its members can be started and stopped.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bus::pipeline::Policy;
use bus::{Bus, BusUrl, Destination, Seams};
use bus_kafka::{KafkaBus, KafkaOptions};
use jiff::tz::TimeZone;
use services::consumer::ports::{LocalBooks, Ports, StockLevels};
use services::consumer::producer_api::{HttpProducerApi, Socket};
use services::consumer::{self, Consumer, ConsumerParts, ConsumerSettings};
use services::http::server::{self, Limits};
use services::http_client::Peer;
use services::store::{JournaledStore, StoreId};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::Place;

/// How long handlers that run may take to finish.
const DRAIN: Duration = Duration::from_secs(10);
/// How long a bus may take to close.
const CLOSING_MAX: Duration = Duration::from_secs(60);

/// A consumer on Kafka without members of its own, where a place expects its consumer.
pub struct Crew {
    consumer: Arc<Consumer>,
    store: Arc<JournaledStore>,
    /// Publishes what the consumer causes.
    bus: Arc<KafkaBus>,
    url: BusUrl,
    tasks: JoinSet<bus::Result<()>>,
    stop: CancellationToken,
}

/// One member of a [`Crew`]. Dropped, it vanishes without a drain.
pub struct Hand {
    bus: Arc<KafkaBus>,
    task: JoinSet<bus::Result<()>>,
    stop: CancellationToken,
}

impl Crew {
    /// On the Kafka at `url`, serving the queues and the consumer's port of `place`.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn at(place: &Place, url: &str) -> Self {
        let seams = Seams::system();
        let (stop, draining) = (CancellationToken::new(), CancellationToken::new());
        let directory = place.site.directory().join("data/consumer");
        let store = Arc::new(JournaledStore::open(&directory, "a test").expect("a new directory"));
        let id = StoreId::of(store.as_ref(), &seams).await.expect("an open store");
        let url = BusUrl::parse(url).expect("a URL").with_default("holder", &id.to_string());
        let bus = open(&url);
        let peer = Peer::new(place.site.producer("").parse().expect("a URL"), None).expect("a client");
        let books = LocalBooks::new(Arc::clone(&store) as _, StockLevels::default(), None);
        let parts = ConsumerParts {
            bus: Arc::clone(&bus) as _,
            store: Arc::clone(&store) as _,
            seams,
            ports: Ports::local(Arc::new(books)),
            producer: Arc::new(HttpProducerApi::new(Arc::new(Socket(peer)), None)),
            middleware: Vec::new(),
        };
        let queue = |name: &str| Destination::new(name).expect("a legal name");
        let settings = ConsumerSettings {
            order_queue: queue(&place.order_queue),
            sync_queue: queue(&place.sync_queue),
            time_zone: TimeZone::UTC,
            sync_token: None,
            reconcile_every: Duration::from_secs(30),
            reconcile_grace: Duration::from_secs(10),
            policy: Policy { drain: DRAIN, ..Policy::default() },
        };
        let consumer = Consumer::start(parts, settings, draining).await.expect("the consumer starts");
        let address = place.site.consumer("");
        let listener = TcpListener::bind(address.trim_start_matches("http://")).await.expect("a port of its own");
        let mut tasks = JoinSet::new();
        let (edge, until) = (consumer::edge(Arc::clone(&consumer)), stop.clone());
        tasks.spawn(async move {
            server::serve(listener, edge, Limits::default(), until).await;
            Ok(())
        });
        let (running, until) = (Arc::clone(&consumer), stop.clone());
        tasks.spawn(async move { running.run_with(Vec::new(), until).await });
        Self { consumer, store, bus, url, tasks, stop }
    }

    /// One more member, on a bus of its own.
    #[must_use]
    pub fn join(&self) -> Hand {
        let (bus, stop) = (open(&self.url), CancellationToken::new());
        let connection: Arc<dyn Bus> = Arc::clone(&bus) as _;
        let (member, until) = (self.consumer.member(&connection), stop.clone());
        let mut task = JoinSet::new();
        task.spawn(member.run(until));
        Hand { bus, task, stop }
    }

    /// Ends what is left of it.
    ///
    /// # Panics
    /// When something did not end cleanly.
    pub async fn end(mut self) {
        self.stop.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            ended.expect("no panic").expect("no error");
        }
        self.bus.close(CLOSING_MAX).await.expect("closed");
        self.store.close().await.expect("closed");
    }
}

impl Hand {
    /// Whether it has partitions of both queues.
    #[must_use]
    pub fn has_a_share(&self) -> bool {
        self.bus.lag().into_iter().map(|lag| lag.group).collect::<BTreeSet<_>>().len() == 2
    }

    /// Stops it: it drains, commits and leaves its groups.
    ///
    /// # Panics
    /// When it did not end cleanly.
    pub async fn leave(mut self) {
        self.stop.cancel();
        let ended = self.task.join_next().await.expect("it has one task");
        ended.expect("no panic").expect("no error");
        self.bus.close(CLOSING_MAX).await.expect("closed");
    }
}

fn open(url: &BusUrl) -> Arc<KafkaBus> {
    KafkaBus::open(KafkaOptions::of(url).expect("legal"), Seams::system()).expect("clients")
}
