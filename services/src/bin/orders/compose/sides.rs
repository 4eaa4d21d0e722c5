//! Producer and consumer with their concrete stores, ports and connections.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bus::middleware::Middleware;
use bus::pipeline::Policy;
use bus::{Bus, Seams};
use services::consumer::ports::{LocalBooks, Ports, StockLevels};
use services::consumer::producer_api::{HttpProducerApi, Socket};
use services::consumer::{Consumer, ConsumerParts, ConsumerSettings};
use services::http_client::Peer;
use services::producer::{Producer, ProducerSettings};
use services::store::JournaledStore;
use tokio_util::sync::CancellationToken;

use crate::failure::Failure;
use crate::settings::Settings;

/// Opens `DIR/name`; `holder` is what a second process is told.
pub(super) fn open_store(directory: &Path, name: &str, holder: &str) -> Result<Arc<JournaledStore>, Failure> {
    let directory = directory.join(name);
    let store = JournaledStore::open(&directory, holder).map_err(|error| {
        Failure::runtime(&error).hint("stop the other process, or give this one a directory of its own with --data DIR")
    })?;
    Ok(Arc::new(store))
}

pub(super) async fn producer(
    settings: &Settings,
    bus: Arc<dyn Bus>,
    store: Arc<JournaledStore>,
    seams: Seams,
    draining: CancellationToken,
) -> Result<Arc<Producer>, Failure> {
    let told = ProducerSettings {
        order_queue: settings.order_queue.clone(),
        sync_queue: settings.sync_queue.clone(),
        time_zone: settings.time_zone.clone(),
        sync_token: settings.sync_token.clone(),
    };
    Producer::start(bus, store, seams, told, draining).await.map_err(Failure::runtime)
}

/// The consumer, with what stands around its handlers; those that run when it is told to stop have `drain` to finish.
pub(super) async fn consumer(
    settings: &Settings,
    (bus, middleware): (Arc<dyn Bus>, Vec<Arc<dyn Middleware>>),
    store: Arc<JournaledStore>,
    seams: Seams,
    draining: CancellationToken,
    drain: Duration,
) -> Result<Arc<Consumer>, Failure> {
    let peer = Peer::new(settings.producer_url.clone(), None).map_err(Failure::runtime)?;
    let books =
        LocalBooks::new(Arc::clone(&store) as _, StockLevels::new(settings.stock.clone()), settings.payment_limit);
    let parts = ConsumerParts {
        bus,
        store,
        seams,
        ports: Ports::local(Arc::new(books)),
        producer: Arc::new(
            HttpProducerApi::new(Arc::new(Socket(peer)), settings.sync_token.clone())
                .in_zone(settings.time_zone.clone()),
        ),
        middleware,
    };
    let told = ConsumerSettings {
        order_queue: settings.order_queue.clone(),
        sync_queue: settings.sync_queue.clone(),
        time_zone: settings.time_zone.clone(),
        sync_token: settings.sync_token.clone(),
        reconcile_every: settings.reconcile_every,
        reconcile_grace: settings.reconcile_grace,
        policy: Policy {
            concurrency_max: settings.concurrency,
            attempt_count_max: settings.attempts,
            poison: settings.poison.into(),
            drain,
            ..Policy::default()
        },
    };
    Consumer::start(parts, told, draining).await.map_err(Failure::runtime)
}
