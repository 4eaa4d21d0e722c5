//! Producer and consumer as nodes that can die and start again, in virtual time.
//!
//! Every call a service makes through a seam (store, bus, HTTP) passes a [`Tripwire`] that numbers
//! it. A run can be told to kill the service before or after call number n: its tasks are dropped,
//! what it awaited never returns, and a new process starts on what the stores have kept.

mod bus;
mod client;
mod network;
mod node;
mod store;
mod tripwire;

use std::sync::Arc;
use std::time::Duration;

use ::bus::{Destination, Seams};
use bus_memory::{MemoryBus, MemoryOptions};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use services::consumer::ports::{LocalBooks, Ports, StockLevels};
use services::consumer::producer_api::HttpProducerApi;
use services::consumer::{self, Consumer, ConsumerParts, ConsumerSettings};
use services::domain::Money;
use services::producer::{self, Producer, ProducerSettings};
use services::store::{MemoryStore, Store};
use tokio_util::sync::CancellationToken;

pub use bus::Death;
pub use client::Client;
pub use network::{Between, Network};
pub use node::Life;
pub use tripwire::{Call, Tripwire, When};

/// Time between a death and the next start.
const RESTART_AFTER: Duration = Duration::from_millis(50);

/// What the stores, the bus and the network have kept, whoever runs.
#[derive(Clone)]
pub struct World {
    /// Clock and entropy of the whole run.
    pub seams: Seams,
    /// The bus, which outlives every service.
    pub bus: Arc<MemoryBus>,
    /// What the producer has written.
    pub producer_store: Arc<MemoryStore>,
    /// What the consumer has written.
    pub consumer_store: Arc<MemoryStore>,
    /// Who can be reached over HTTP.
    pub network: Network,
    /// Numbers every call through a seam.
    pub tripwire: Tripwire,
    /// Units on hand at the beginning.
    pub stock: StockLevels,
    /// Payments above it are declined.
    pub payment_limit: Option<Money>,
    /// How often the consumer reconciles; a test of the messages alone sets it beyond its end.
    pub reconcile_every: Duration,
    /// What the bus learns of a death.
    pub death: Death,
    /// The token that guards the producer's sync routes.
    pub producer_token: Option<String>,
    /// The token the consumer shows there.
    pub consumer_token: Option<String>,
}

impl World {
    /// An empty world. Call it on a runtime with paused time.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let seams = Seams::repeatable(Timestamp::from_second(1_756_655_436).expect("the recorded day"), seed);
        Self {
            bus: MemoryBus::new(seams.clone(), MemoryOptions::default()),
            producer_store: Arc::new(MemoryStore::new()),
            consumer_store: Arc::new(MemoryStore::new()),
            network: Network::default(),
            tripwire: Tripwire::default(),
            stock: StockLevels::default(),
            payment_limit: None,
            reconcile_every: Duration::from_secs(30),
            death: Death::Noticed,
            producer_token: None,
            consumer_token: None,
            seams,
        }
    }

    /// A client of both services.
    #[must_use]
    pub fn client(&self) -> Client {
        Client::new(self.network.clone(), self.seams.clone())
    }

    /// Runs both services while `scenario` does.
    pub async fn alongside<T>(&self, scenario: impl Future<Output = T>) -> T {
        tokio::select! {
            biased;
            output = scenario => output,
            () = self.producer() => unreachable!("the producer runs until it is dropped"),
            () = self.consumer() => unreachable!("the consumer runs until it is dropped"),
        }
    }

    /// Runs the producer until the future is dropped; it starts again whenever it dies.
    pub async fn producer(&self) {
        loop {
            let life = Life::default();
            life.while_it_lasts(self.one_producer(&life)).await;
            self.network.disconnect_producer();
            self.rest().await;
        }
    }

    /// Runs the consumer until the future is dropped; it starts again whenever it dies.
    pub async fn consumer(&self) {
        loop {
            let life = Life::default();
            life.while_it_lasts(Box::pin(self.one_consumer(&life))).await;
            self.network.disconnect_consumer();
            self.rest().await;
        }
    }

    async fn one_producer(&self, life: &Life) {
        let (bus, store) = self.seen_by(life, Arc::clone(&self.producer_store) as _);
        let settings = ProducerSettings {
            order_queue: order_queue(),
            sync_queue: sync_queue(),
            time_zone: TimeZone::UTC,
            sync_token: self.producer_token.clone().map(Into::into),
        };
        let draining = CancellationToken::new();
        let producer =
            Producer::start(bus, store, self.seams.clone(), settings, draining).await.expect("the producer starts");
        self.network.connect_producer(producer::edge(Arc::clone(&producer)), life.clone());
        producer.run(CancellationToken::new()).await;
    }

    async fn one_consumer(&self, life: &Life) {
        let (bus, store) = self.seen_by(life, Arc::clone(&self.consumer_store) as _);
        let books = LocalBooks::new(Arc::clone(&store), self.stock.clone(), self.payment_limit);
        let transport =
            network::Line { network: self.network.clone(), life: life.clone(), tripwire: self.tripwire.clone() };
        let parts = ConsumerParts {
            bus,
            store,
            seams: self.seams.clone(),
            ports: Ports::local(Arc::new(books)),
            producer: Arc::new(HttpProducerApi::new(Arc::new(transport), self.consumer_token.clone().map(Into::into))),
            middleware: Vec::new(),
        };
        let settings = ConsumerSettings { reconcile_every: self.reconcile_every, ..consumer_settings() };
        let consumer = Consumer::start(parts, settings, CancellationToken::new()).await.expect("the consumer starts");
        self.network.connect_consumer(consumer::edge(Arc::clone(&consumer)), life.clone());
        consumer.run(CancellationToken::new()).await.expect("the consumer subscribes");
    }

    /// Bus and store as one life of a service sees them: every call passes the tripwire.
    fn seen_by(&self, life: &Life, store: Arc<dyn Store>) -> (Arc<dyn ::bus::Bus>, Arc<dyn Store>) {
        let inner = Arc::clone(&self.bus) as _;
        let bus = bus::WiredBus::new(inner, life.clone(), self.tripwire.clone(), self.death);
        let store = store::WiredStore { inner: store, life: life.clone(), tripwire: self.tripwire.clone() };
        (Arc::new(bus), Arc::new(store))
    }

    async fn rest(&self) {
        use ::bus::ClockExt;
        self.seams.clock.sleep(RESTART_AFTER).await;
    }
}

/// The queue of orders.
#[must_use]
pub fn order_queue() -> Destination {
    Destination::new("order-processing-queue").expect("a legal name")
}

/// The queue of sync events.
#[must_use]
pub fn sync_queue() -> Destination {
    Destination::new("sync-events-queue").expect("a legal name")
}

/// The settings of a consumer that reconciles every 30 s, up to 10 s before.
#[must_use]
pub fn consumer_settings() -> ConsumerSettings {
    ConsumerSettings {
        order_queue: order_queue(),
        sync_queue: sync_queue(),
        time_zone: TimeZone::UTC,
        sync_token: None,
        reconcile_every: Duration::from_secs(30),
        reconcile_grace: Duration::from_secs(10),
        policy: ::bus::pipeline::Policy::default(),
    }
}

/// Runs `scenario` on a thread of its own time: paused, one interleaving, no sockets.
pub fn in_virtual_time<F: Future>(scenario: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without IO can always be built");
    runtime.block_on(scenario)
}
