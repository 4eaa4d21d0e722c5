//! Where a bug is put into the composition of the services.

use std::sync::Arc;
use std::time::Duration;

use bus::layer::LayerExt;
use bus::middleware::Middleware;
use bus::{Bus, Seams};
use services::consumer::ConsumerSettings;
use services::consumer::ports::{LocalBooks, Ports, StockLevels};
use services::store::{Store, Table};

use super::Bug;
use super::counting::CountsApart;
use super::guards::{FarAway, Unguarded};
use super::handling::{InOrderHandler, Retried};
use super::inbox::{InboxStore, Memory};
use super::outbox::{Apart, OutboxStore};
use super::ports::{CompensatedAgain, KeyedByCall};
use super::receiving::Receiving;
use super::sending::{Forgetting, Renaming};
use super::zombies::{InFlight, Zombies};

/// A bug in one world, over all lives of the services. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Planted {
    bug: Option<Bug>,
    in_flight: Arc<InFlight>,
}

impl Planted {
    pub(in super::super) fn new(bug: Option<Bug>) -> Self {
        Self { bug, in_flight: Arc::default() }
    }

    /// Whether the disk answers before it has synced.
    pub(in super::super) fn answers_early(&self) -> bool {
        self.bug == Some(Bug::AnswerBeforeSync)
    }

    fn control(&self) -> Option<Bug> {
        self.bug.and_then(Bug::control)
    }

    pub(in super::super) fn on_bus(&self, bus: Arc<dyn Bus>, seams: &Seams) -> Arc<dyn Bus> {
        match self.bug {
            Some(Bug::AckBeforeCommit) => bus.layer(Receiving::AtOnce),
            Some(Bug::NoDeadLetter) => bus.layer(Receiving::Instead),
            Some(Bug::AckBeforeDeadLetter) => {
                let sender = Arc::clone(&bus);
                bus.layer(Receiving::BeforeSending(sender))
            }
            Some(Bug::PublishAndForget) => bus.layer(Forgetting),
            Some(Bug::NewIdAfterUnknown) => bus.layer(Renaming(seams.clone())),
            _ => bus,
        }
    }

    pub(in super::super) fn on_store(&self, store: Arc<dyn Store>, is_consumer: bool, seams: &Seams) -> Arc<dyn Store> {
        let memory = match self.bug {
            Some(Bug::NoInbox) => Memory::None,
            Some(Bug::InboxBeforeEffect) => Memory::Before,
            Some(Bug::InboxAfterEffect) => Memory::After,
            Some(Bug::WindowTooShort) => Memory::Short(Arc::clone(&seams.clock)),
            _ => Memory::WithEffect,
        };
        match self.bug {
            Some(Bug::PublishOutsideOutbox) => Arc::new(OutboxStore::new(store, Apart::InMemoryAfter)),
            Some(Bug::PublishBeforeCommit) => Arc::new(OutboxStore::new(store, Apart::InMemoryBefore)),
            Some(Bug::TwoWrites) => Arc::new(OutboxStore::new(store, Apart::OnDiskAfter)),
            Some(Bug::SlowReads) => Arc::new(FarAway { inner: store, clock: Arc::clone(&seams.clock) }),
            Some(Bug::NoVersionGuard) => {
                let inner = Arc::new(FarAway { inner: store, clock: Arc::clone(&seams.clock) });
                Arc::new(Unguarded { inner, table: Table::Orders })
            }
            Some(Bug::StartsInMemory) => Arc::new(CountsApart::new(store)),
            Some(Bug::InboxBeforeEffect) => Arc::new(InboxStore::new(store, memory)),
            _ if self.control() == Some(Bug::InboxAlone) => Arc::new(InboxStore::new(store, memory)),
            _ if self.control() == Some(Bug::LateWrites) && is_consumer => {
                let is_fenced = self.bug == Some(Bug::LateWrites);
                Arc::new(Zombies::new(store, Arc::clone(&self.in_flight), seams.clone(), is_fenced))
            }
            _ => store,
        }
    }

    /// The ports of the consumer, whose books are in `store`.
    pub(in super::super) fn on_ports(&self, ports: Ports, store: &Arc<dyn Store>) -> Ports {
        match self.bug {
            Some(Bug::KeyOfTheAttempt) => {
                let payment = KeyedByCall::new(Arc::clone(&ports.payment), Arc::clone(&ports.books));
                Ports { payment: Arc::new(payment), ..ports }
            }
            Some(Bug::CompensationTwice) => {
                let unguarded = Arc::new(Unguarded { inner: Arc::clone(store), table: Table::Books });
                let unguarded = LocalBooks::new(unguarded, StockLevels::default(), None);
                let books = Arc::clone(&ports.books);
                let again = Arc::new(CompensatedAgain { doing: ports, undoing: unguarded });
                Ports { stock: Arc::clone(&again) as _, payment: Arc::clone(&again) as _, shipping: again, books }
            }
            _ => ports,
        }
    }

    pub(in super::super) fn around_handlers(&self) -> Option<Arc<dyn Middleware>> {
        match self.control() {
            Some(Bug::InboxAlone) => Some(Arc::new(InOrderHandler)),
            Some(Bug::RetriedBeforeRejected) => Some(Arc::new(Retried)),
            _ => None,
        }
    }

    pub(in super::super) fn on_settings(&self, mut settings: ConsumerSettings) -> ConsumerSettings {
        if matches!(self.control(), Some(Bug::WithoutReconciler | Bug::InboxAlone)) {
            settings.reconcile_every = Duration::from_secs(1_000_000);
        }
        match self.bug {
            Some(Bug::TwoWorkersOnOneKey) => settings.policy.order_per_key = false,
            Some(Bug::DeadLetterTooEarly) => settings.policy.attempt_count_max -= 2,
            Some(Bug::RetryWithoutLimit) => settings.policy.attempt_count_max = u32::MAX,
            _ => {}
        }
        settings
    }
}
