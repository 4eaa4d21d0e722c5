//! The consumer: processes orders once, keeps a copy of the producer's, brings results back.
//!
//! | module | one idea |
//! |---|---|
//! | `ports` | stock, payment and shipping, and the local books behind them |
//! | `processing` | an order's way through the ports, durable step by step |
//! | `orders` | the handler of `order-processing-queue` |
//! | `events` | the handler of `sync-events-queue` |
//! | `results` | bringing a result to the producer, undoing what it no longer wants |
//! | `copies` | the copy of the producer's orders, guarded by version |
//! | `reconcile` | finding and mending whatever messages did not bring |
//! | `producer_api` | the way to the producer |
//! | `routes` | the HTTP edge |

mod cause;
mod copies;
mod events;
mod orders;
pub mod ports;
mod processing;
pub mod producer_api;
mod reconcile;
mod results;
mod routes;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bus::inbox::IdempotentReceiver;
use bus::middleware::Middleware;
use bus::outbox::{OutboxRow, Relay};
use bus::pipeline::{Envelope, Handled, Handler, Pipeline, PipelineState, PipelineStatus, Policy};
use bus::{Bus, Declaration, Destination, Result, Seams, Subscription};
use futures_util::FutureExt;
use jiff::tz::TimeZone;
use secrecy::SecretString;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::http::health::Readiness;
use crate::producer::readiness;
use crate::side_by_side::{Part, side_by_side};
use crate::store::{Mailbox, Store, Table, prune_regularly};
use crate::wire::{identify_event, identify_order};

pub use reconcile::Reconciled;
pub use routes::edge;

use ports::Ports;
use producer_api::ProducerApi;

/// What the consumer is told by its configuration.
#[derive(Clone, Debug)]
pub struct ConsumerSettings {
    /// Where orders come from.
    pub order_queue: Destination,
    /// Where sync events come from, and results are told of.
    pub sync_queue: Destination,
    /// The zone of times in message bodies.
    pub time_zone: TimeZone,
    /// Guards the reconcile route, where set.
    pub sync_token: Option<SecretString>,
    /// How often the reconciler runs.
    pub reconcile_every: Duration,
    /// How old a change must be before the reconciler looks at it: messages are given that long.
    pub reconcile_grace: Duration,
    /// How deliveries are treated, on both subscriptions.
    pub policy: Policy,
}

/// The consumer service, without its sockets.
pub struct Consumer {
    bus: Arc<dyn Bus>,
    mailbox: Arc<Mailbox>,
    seams: Seams,
    settings: ConsumerSettings,
    ports: Ports,
    producer: Arc<dyn ProducerApi>,
    parts: std::sync::Mutex<Option<Parts>>,
    statuses: std::sync::OnceLock<Statuses>,
    /// One reconciliation at a time, whoever asks.
    reconciling: Mutex<()>,
    draining: CancellationToken,
}

/// What runs, until it does.
struct Parts {
    relay: Relay,
    pipelines: [Pipeline; 2],
}

struct Statuses {
    relay: bus::outbox::RelayStatus,
    pipelines: [PipelineStatus; 2],
}

/// What the consumer is made of.
pub struct ConsumerParts {
    /// Where messages come from and go.
    pub bus: Arc<dyn Bus>,
    /// Where everything is kept.
    pub store: Arc<dyn Store>,
    /// Clock and entropy.
    pub seams: Seams,
    /// Stock, payment, shipping.
    pub ports: Ports,
    /// The way to the producer.
    pub producer: Arc<dyn ProducerApi>,
    /// What stands around the handlers of both subscriptions, outermost first.
    pub middleware: Vec<Arc<dyn Middleware>>,
}

/// A handler with one of [`ConsumerParts::middleware`] around it.
struct Inside {
    middleware: Arc<dyn Middleware>,
    handler: Arc<dyn Handler>,
}

#[async_trait]
impl Handler for Inside {
    async fn handle(&self, envelope: Envelope) -> Handled {
        self.middleware.handle(envelope, self.handler.as_ref()).await
    }
}

impl Consumer {
    /// Declares what it receives from. `draining` turns readiness off.
    ///
    /// # Errors
    /// When the bus or the store does not answer.
    pub async fn start(
        parts: ConsumerParts,
        settings: ConsumerSettings,
        draining: CancellationToken,
    ) -> Result<Arc<Self>> {
        let ConsumerParts { bus, store, seams, ports, producer, middleware } = parts;
        let declarations = [&settings.order_queue, &settings.sync_queue].map(|queue| Declaration::of(queue.clone()));
        bus.declare(&declarations).await?;
        let mailbox = Arc::new(Mailbox::new(store, seams.clone()));
        mailbox.unpark().await?;
        let consumer = Arc::new(Self {
            bus,
            mailbox,
            seams,
            settings,
            ports,
            producer,
            parts: std::sync::Mutex::default(),
            statuses: std::sync::OnceLock::new(),
            reconciling: Mutex::new(()),
            draining,
        });
        consumer.assemble(&middleware);
        Ok(consumer)
    }

    /// Builds relay and pipelines. The handlers hold the consumer, and [`run`](Self::run) takes them
    /// out again, so nothing holds itself for longer than until then.
    fn assemble(self: &Arc<Self>, middleware: &[Arc<dyn Middleware>]) {
        let relay = Relay::new(Arc::clone(&self.bus), Arc::clone(&self.mailbox) as _, self.seams.clone())
            .observed_by(log_published);
        let orders = IdempotentReceiver::new(Arc::clone(&self.mailbox), orders::Orders(Arc::clone(self)));
        let around = |handler| {
            let inside = |handler, middleware: &Arc<dyn Middleware>| {
                Arc::new(Inside { middleware: Arc::clone(middleware), handler }) as Arc<dyn Handler>
            };
            middleware.iter().rev().fold(handler, inside)
        };
        let orders = self.pipeline(&self.settings.order_queue, around(Arc::new(orders))).identify_with(identify_order);
        let events = IdempotentReceiver::new(Arc::clone(&self.mailbox), events::Events(Arc::clone(self)));
        let events = self.pipeline(&self.settings.sync_queue, around(Arc::new(events))).identify_with(identify_event);
        let pipelines = [orders, events];
        let statuses = Statuses { relay: relay.status(), pipelines: [pipelines[0].status(), pipelines[1].status()] };
        let _ = self.statuses.set(statuses);
        *self.parts.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(Parts { relay, pipelines });
    }

    fn pipeline(&self, queue: &Destination, handler: Arc<dyn Handler>) -> Pipeline {
        let subscription = Subscription::to(queue.clone());
        Pipeline::new(Arc::clone(&self.bus), subscription, handler, self.seams.clone())
            .with_policy(self.settings.policy)
            .with_attempts(Arc::clone(&self.mailbox) as _)
    }

    /// Receives, processes, publishes and reconciles until `shutdown`; then drains.
    ///
    /// # Errors
    /// Whatever kept it from subscribing.
    pub async fn run(&self, shutdown: CancellationToken) -> Result<()> {
        let parts = self.parts.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        let Some(Parts { relay, pipelines: [orders, events] }) = parts else { return Ok(()) };
        let relay_stop = CancellationToken::new();
        // When one subscription ends, so does the other: half a consumer would look like a whole one.
        let receive_stop = shutdown.child_token();
        let receive = async |pipeline: Pipeline| {
            let ended = pipeline.run(receive_stop.clone()).await;
            receive_stop.cancel();
            ended
        };
        let receiving = async {
            let ended = side_by_side([orders, events].map(|pipeline| Box::pin(receive(pipeline)) as Part<'_, _>)).await;
            // The relay goes last: what the last handlers caused is published too.
            relay_stop.cancel();
            ended.into_iter().collect()
        };
        let parts: [Part<'_, Result<()>>; 4] = [
            Box::pin(relay.run(relay_stop.clone()).map(Ok)),
            Box::pin(self.reconcile_regularly(&shutdown).map(Ok)),
            Box::pin(prune_regularly(self.store(), Table::InboxExpiry, &self.seams, &shutdown).map(Ok)),
            Box::pin(receiving),
        ];
        side_by_side(parts).await.into_iter().collect()
    }

    /// Whether it can serve, check by check.
    pub async fn readiness(&self) -> Readiness {
        let Some(statuses) = self.statuses.get() else { return Readiness::new() };
        let trouble: Vec<String> = statuses.pipelines.iter().filter_map(not_receiving).collect();
        let subscriptions = if trouble.is_empty() { Ok("receiving") } else { Err(trouble.join("; ")) };
        let common = readiness(self.bus.as_ref(), &self.mailbox, &statuses.relay, &self.draining).await;
        common.check("subscriptions", subscriptions)
    }

    fn store(&self) -> &dyn Store {
        self.mailbox.store().as_ref()
    }
}

impl std::fmt::Debug for Consumer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Consumer").field("settings", &self.settings).finish_non_exhaustive()
    }
}

fn not_receiving(status: &PipelineStatus) -> Option<String> {
    let name = status.subscription();
    match status.state() {
        PipelineState::Running => None,
        PipelineState::Paused(why) => Some(format!("{name}: paused, {why}")),
        PipelineState::PausedByHand(why) => Some(format!("{name}: paused by hand, {why}")),
        other => Some(format!("{name}: {other:?}")),
    }
}

fn log_published(row: &OutboxRow) {
    let message = row.outgoing.message();
    let order_number = message.key().map(bus::MessageKey::as_str).unwrap_or_default();
    info!(event = "completion_published", order_number, message_id = %message.id(), "processing event published");
}
