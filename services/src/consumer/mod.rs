//! The consumer: processes orders once, keeps a copy of the producer's, brings results back.
//!
//! | module | one idea |
//! |---|---|
//! | `ports` | stock, payment and shipping, and the local books behind them |
//! | `processing` | an order's way through the ports, durable step by step |
//! | `member` | who receives, one or several, over the one store |
//! | `orders` | the handler of `order-processing-queue` |
//! | `events` | the handler of `sync-events-queue` |
//! | `results` | bringing a result to the producer, undoing what it no longer wants |
//! | `copies` | the copy of the producer's orders, guarded by version |
//! | `reconcile` | finding and mending whatever messages did not bring |
//! | `producer_api` | the way to the producer |
//! | `routes` | the HTTP edge |
//! | `metrics` | what is shown to whoever scrapes it |

mod cause;
mod copies;
mod events;
mod member;
mod metrics;
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
use bus::middleware::Middleware;
use bus::outbox::{OutboxRow, Relay, RelayStatus};
use bus::pipeline::{Envelope, Handled, Handler, Policy};
use bus::{Bus, Declaration, Destination, Result, Seams};
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

pub use member::Member;
pub use reconcile::Reconciled;
pub use routes::{edge, router};

use member::Members;
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
    /// Until it runs.
    relay: std::sync::Mutex<Option<Relay>>,
    relay_status: RelayStatus,
    members: Members,
    middleware: Vec<Arc<dyn Middleware>>,
    /// One reconciliation at a time, whoever asks.
    reconciling: Mutex<()>,
    tally: metrics::Tally,
    draining: CancellationToken,
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
        let relay = Relay::new(Arc::clone(&bus), Arc::clone(&mailbox) as _, seams.clone()).observed_by(log_published);
        Ok(Arc::new(Self {
            bus,
            mailbox,
            seams,
            settings,
            ports,
            producer,
            relay_status: relay.status(),
            relay: std::sync::Mutex::new(Some(relay)),
            members: Members::default(),
            middleware,
            reconciling: Mutex::new(()),
            tally: metrics::Tally::default(),
            draining,
        }))
    }

    /// Runs with one member, on the bus it publishes to; see [`run_with`](Self::run_with).
    ///
    /// # Errors
    /// As for [`run_with`](Self::run_with).
    pub async fn run(self: &Arc<Self>, shutdown: CancellationToken) -> Result<()> {
        self.run_with(vec![self.member(&self.bus)], shutdown).await
    }

    /// Receives with `members`, processes, publishes and reconciles until `shutdown`; then drains. When one
    /// of them ends, all do: a consumer that receives with fewer than it was given would look whole. What
    /// members that run elsewhere cause is published until they have ended too: stop those first.
    ///
    /// Runs once: a second call receives nothing and answers `Ok`.
    ///
    /// # Errors
    /// Whatever kept a member from subscribing.
    pub async fn run_with(self: &Arc<Self>, members: Vec<Member>, shutdown: CancellationToken) -> Result<()> {
        let relay = self.relay.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        let Some(relay) = relay else { return Ok(()) };
        let (stop, relay_stop) = (shutdown.child_token(), CancellationToken::new());
        let receive = |member: Member| {
            let stop = stop.clone();
            Box::pin(async move {
                let ended = member.run(stop.clone()).await;
                stop.cancel();
                ended
            }) as Part<_>
        };
        let members: Vec<_> = members.into_iter().map(receive).collect();
        let (receiving, reconciling, pruning) = (Arc::clone(self), Arc::clone(self), Arc::clone(self));
        let (stopped, relay_stopped, forgetting) = (stop.clone(), relay_stop.clone(), stop.clone());
        let receiving = async move {
            let ended = side_by_side(members).await;
            stop.cancelled().await;
            receiving.members.running.close();
            receiving.members.running.wait().await;
            // The relay goes last: what the last handlers caused is published too.
            relay_stop.cancel();
            ended.into_iter().collect()
        };
        let pruning = async move {
            prune_regularly(pruning.store(), Table::InboxExpiry, &pruning.seams, &forgetting).await;
            Ok(())
        };
        let parts: [Part<Result<()>>; 4] = [
            Box::pin(relay.run(relay_stopped).map(Ok)),
            Box::pin(async move { reconciling.reconcile_regularly(&stopped).map(Ok).await }),
            Box::pin(pruning),
            Box::pin(receiving),
        ];
        side_by_side(parts).await.into_iter().collect()
    }

    /// Whether it can serve, check by check.
    pub async fn readiness(&self) -> Readiness {
        let subscriptions = self.members.trouble().map_or(Ok("receiving"), Err);
        let common = readiness(self.bus.as_ref(), &self.mailbox, &self.relay_status, &self.draining).await;
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

fn log_published(row: &OutboxRow) {
    let message = row.outgoing.message();
    let order_number = message.key().map(bus::MessageKey::as_str).unwrap_or_default();
    info!(event = "completion_published", order_number, message_id = %message.id(), "processing event published");
}
