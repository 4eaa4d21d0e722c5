//! The producer: accepts orders, tells of every change, applies results.
//!
//! | module | one idea |
//! |---|---|
//! | `accept` | an order, its messages and its idempotency key, in one write |
//! | `change` | cancelling, and applying a result: guarded by the version |
//! | `read` | single orders, lists, and the change sequence |
//! | `messages` | what is put into the outbox |
//! | `request` | what may stand in a POST body |
//! | `result_request` | what may stand in the body of a result |
//! | `routes` | the HTTP edge of all that |
//! | `metrics` | what is shown to whoever scrapes it |

mod accept;
mod change;
mod messages;
mod metrics;
mod read;
mod request;
mod result_request;
mod routes;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use bus::outbox::{OutboxRow, Relay, RelayStatus};
use bus::{Bus, BusState, Declaration, Destination, Result, Seams};
use jiff::tz::TimeZone;
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::http::health::Readiness;
use crate::side_by_side::{Part, side_by_side};
use crate::store::{Direction, Mailbox, Store, Table, prune_regularly};

pub use accept::{Accepted, IDEMPOTENCY_KEPT_FOR, Refusal};
pub use change::ChangeRefused;
pub use request::read_request;
pub(crate) use routes::{cursor, limit, no_such_order, number, unavailable};
pub use routes::{edge, router};

/// What the producer is told by its configuration.
#[derive(Clone, Debug)]
pub struct ProducerSettings {
    /// Where orders are published.
    pub order_queue: Destination,
    /// Where sync events are published.
    pub sync_queue: Destination,
    /// The zone of order numbers and of times in message bodies.
    pub time_zone: TimeZone,
    /// Guards the sync routes, where set.
    pub sync_token: Option<SecretString>,
}

/// The producer service, without its sockets.
#[derive(Debug)]
pub struct Producer {
    bus: Arc<dyn Bus>,
    mailbox: Arc<Mailbox>,
    seams: Seams,
    settings: ProducerSettings,
    /// The last id given out; ids are the producer's alone, one process writes its store.
    last_id: AtomicU64,
    relay: std::sync::Mutex<Option<Relay>>,
    relay_status: RelayStatus,
    tally: metrics::Tally,
    draining: CancellationToken,
}

impl Producer {
    /// Declares what it publishes to and picks up where the store stands. `draining` turns
    /// readiness off.
    ///
    /// # Errors
    /// When the bus or the store does not answer.
    pub async fn start(
        bus: Arc<dyn Bus>,
        store: Arc<dyn Store>,
        seams: Seams,
        settings: ProducerSettings,
        draining: CancellationToken,
    ) -> Result<Arc<Self>> {
        let declarations = [&settings.order_queue, &settings.sync_queue].map(|queue| Declaration::of(queue.clone()));
        bus.declare(&declarations).await?;
        let newest = store.scan(&Table::OrdersById.all(), Direction::Backward, 1).await?;
        let last_id = newest.first().and_then(|(key, _)| key.last_number()).unwrap_or(0);
        let mailbox = Arc::new(Mailbox::new(store, seams.clone()));
        mailbox.unpark().await?;
        let (order_queue, outbox) = (settings.order_queue.clone(), Arc::clone(&mailbox));
        let relay = Relay::new(Arc::clone(&bus), outbox, seams.clone())
            .observed_by(move |row| log_published(row, &order_queue));
        Ok(Arc::new(Self {
            bus,
            mailbox,
            seams,
            settings,
            last_id: AtomicU64::new(last_id),
            relay_status: relay.status(),
            relay: std::sync::Mutex::new(Some(relay)),
            tally: metrics::Tally::default(),
            draining,
        }))
    }

    /// Publishes what the outbox holds and forgets what has expired, until `shutdown`.
    pub async fn run(self: &Arc<Self>, shutdown: CancellationToken) {
        let relay = self.relay.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        let (this, stop) = (Arc::clone(self), shutdown.clone());
        let relaying = async move {
            if let Some(relay) = relay {
                relay.run(shutdown).await;
            }
        };
        let pruning = async move {
            prune_regularly(this.store(), Table::IdempotencyExpiry, &this.seams, &stop).await;
        };
        side_by_side([Box::pin(relaying) as Part<()>, Box::pin(pruning)]).await;
    }

    /// Whether it can serve, check by check. Reads memory and one table.
    pub async fn readiness(&self) -> Readiness {
        let common = readiness(self.bus.as_ref(), &self.mailbox, &self.relay_status, &self.draining).await;
        common.check("subscriptions", Ok::<_, &str>("none: it only publishes"))
    }

    fn store(&self) -> &dyn Store {
        self.mailbox.store().as_ref()
    }
}

/// The checks both services have.
pub(crate) async fn readiness(
    bus: &dyn Bus,
    mailbox: &Mailbox,
    relay: &RelayStatus,
    draining: &CancellationToken,
) -> Readiness {
    let bus = match bus.state() {
        up @ BusState::Up => Ok(up),
        trouble => Err(trouble),
    };
    let store = match mailbox.store().trouble() {
        None => Ok("serving"),
        Some(trouble) => Err(trouble),
    };
    let relay = match (relay.trouble(), mailbox.parked_count().await) {
        (Some(trouble), _) => Err(trouble),
        (None, Err(error)) => Err(error.to_string()),
        (None, Ok(0)) => Ok("publishing"),
        (None, Ok(count)) => Err(format!("parked {count} messages that the bus refuses; see the log for the reasons")),
    };
    let drain = if draining.is_cancelled() { Err("shutting down") } else { Ok("serving") };
    Readiness::new().check("bus", bus).check("store", store).check("relay", relay).check("drain", drain)
}

fn log_published(row: &OutboxRow, order_queue: &Destination) {
    let message = row.outgoing.message();
    let order_number = message.key().map(bus::MessageKey::as_str).unwrap_or_default();
    let message_id = message.id();
    if row.outgoing.destination() == order_queue {
        info!(event = "order_published", order_number, %message_id, "order message published");
    } else {
        info!(event = "sync_published", order_number, %message_id, "sync event published");
    }
}
