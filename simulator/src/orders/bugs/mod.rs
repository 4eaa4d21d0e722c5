//! Bugs planted on purpose: each is a part of the composition done wrong, none is code in the services.
//!
//! Bugs of messages alone are planted with the reconciler switched off, which mends what they break; the
//! honest services pass the same seeds without it ([`Bug::NoReconciler`] is that control).

mod ports;
mod receiving;
mod sending;

use std::sync::Arc;
use std::time::Duration;

use bus::Bus;
use bus::layer::LayerExt;
use services::consumer::ConsumerSettings;
use services::consumer::ports::Ports;

/// A bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bug {
    /// None, without the reconciler: the control of those that are planted without it.
    NoReconciler,
    /// Deliveries are acknowledged when they come, before their effect is committed.
    AckBeforeCommit,
    /// Whatever a publish came to, it is taken for accepted.
    PublishAndForget,
    /// What is rejected is acknowledged instead.
    NoDeadLetter,
    /// What is rejected is acknowledged first and then sent to the dead letters, once.
    AckBeforeDeadLetter,
    /// A charge is keyed by the call instead of the order.
    KeyOfTheAttempt,
    /// The store answers before it has synced.
    AnswerBeforeSync,
}

impl Bug {
    /// All that should be found.
    pub const ALL: [Self; 6] = [
        Self::AckBeforeCommit,
        Self::PublishAndForget,
        Self::NoDeadLetter,
        Self::AckBeforeDeadLetter,
        Self::KeyOfTheAttempt,
        Self::AnswerBeforeSync,
    ];

    /// Its name, as a sentence.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NoReconciler => "none, without the reconciler",
            Self::AckBeforeCommit => "ack before commit",
            Self::PublishAndForget => "publish and forget",
            Self::NoDeadLetter => "no dead letter",
            Self::AckBeforeDeadLetter => "ack before the dead letter is stored",
            Self::KeyOfTheAttempt => "idempotency key from the attempt",
            Self::AnswerBeforeSync => "store answers before it has synced",
        }
    }

    /// The same composition without the bug; `None`: the services as they are.
    #[must_use]
    pub fn control(self) -> Option<Self> {
        self.is_without_reconciler().then_some(Self::NoReconciler)
    }

    fn is_without_reconciler(self) -> bool {
        matches!(self, Self::NoReconciler | Self::AckBeforeCommit | Self::PublishAndForget)
    }

    pub(super) fn on_bus(self, bus: Arc<dyn Bus>) -> Arc<dyn Bus> {
        match self {
            Self::AckBeforeCommit => bus.layer(receiving::Receiving::AtOnce),
            Self::NoDeadLetter => bus.layer(receiving::Receiving::Instead),
            Self::AckBeforeDeadLetter => {
                let sender = Arc::clone(&bus);
                bus.layer(receiving::Receiving::BeforeSending(sender))
            }
            Self::PublishAndForget => bus.layer(sending::Forgetting),
            Self::NoReconciler | Self::KeyOfTheAttempt | Self::AnswerBeforeSync => bus,
        }
    }

    pub(super) fn on_ports(self, ports: Ports) -> Ports {
        match self {
            Self::KeyOfTheAttempt => {
                let payment = ports::KeyedByCall::new(Arc::clone(&ports.payment), Arc::clone(&ports.books));
                Ports { payment: Arc::new(payment), ..ports }
            }
            _ => ports,
        }
    }

    pub(super) fn on_settings(self, settings: ConsumerSettings) -> ConsumerSettings {
        if self.is_without_reconciler() {
            return ConsumerSettings { reconcile_every: Duration::from_secs(1_000_000), ..settings };
        }
        settings
    }
}
