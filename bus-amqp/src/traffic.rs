//! How it goes, seen from outside: whether each connection is there, and whether publishers are blocked.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bus::{BusState, Error};
use tracing::{info, warn};

/// What a connection is for. There is one of each, so that an alarm that blocks publishers leaves
/// acknowledgements alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Publish,
    Consume,
}

impl Purpose {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Consume => "consume",
        }
    }
}

/// The last trouble of each connection.
#[derive(Debug, Default)]
pub(crate) struct Traffic(Mutex<Troubles>);

#[derive(Debug, Default)]
struct Troubles {
    of_publish: Option<String>,
    of_consume: Option<String>,
    /// Why the server takes no messages.
    blocked: Option<String>,
}

impl Troubles {
    fn of(&mut self, purpose: Purpose) -> &mut Option<String> {
        match purpose {
            Purpose::Publish => &mut self.of_publish,
            Purpose::Consume => &mut self.of_consume,
        }
    }
}

impl Traffic {
    fn troubles(&self) -> MutexGuard<'_, Troubles> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection serves.
    pub(crate) fn serves(&self, purpose: Purpose) {
        let mut troubles = self.troubles();
        if purpose == Purpose::Publish {
            troubles.blocked = None;
        }
        if troubles.of(purpose).take().is_some() {
            info!(connection = purpose.name(), "connected to RabbitMQ again");
        }
    }

    /// A connection was lost or cannot be made.
    pub(crate) fn troubled(&self, purpose: Purpose, error: &Error) {
        let mut troubles = self.troubles();
        if troubles.of(purpose).replace(error.to_string()).is_none() {
            warn!(connection = purpose.name(), %error, "not connected to RabbitMQ; trying again, nothing is lost");
        }
    }

    /// The server takes no messages for now.
    pub(crate) fn blocked(&self, reason: &str) {
        if self.troubles().blocked.replace(reason.to_owned()).is_none() {
            warn!(reason, "RabbitMQ blocks publishers until its alarm lifts; nothing is lost");
        }
    }

    /// It takes messages again.
    pub(crate) fn unblocked(&self) {
        if self.troubles().blocked.take().is_some() {
            info!("RabbitMQ takes messages again");
        }
    }

    /// Why the server takes no messages, where it said so.
    pub(crate) fn blocked_by(&self) -> Option<String> {
        self.troubles().blocked.clone()
    }

    pub(crate) fn state(&self) -> BusState {
        let troubles = self.troubles();
        if let Some(trouble) = troubles.of_publish.as_ref().or(troubles.of_consume.as_ref()) {
            return BusState::Down(format!("{trouble}; trying again"));
        }
        match &troubles.blocked {
            None => BusState::Up,
            Some(reason) => {
                BusState::Down(format!("RabbitMQ blocks publishers ({reason}); messages wait in the outbox"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bus::ErrorKind;

    use super::*;

    #[test]
    fn each_connection_has_troubles_of_its_own() {
        let traffic = Traffic::default();
        let lost = Error::new(ErrorKind::Unavailable, "connect", "nobody listens");
        traffic.troubled(Purpose::Publish, &lost);
        traffic.troubled(Purpose::Consume, &lost);
        traffic.serves(Purpose::Publish);
        assert!(matches!(traffic.state(), BusState::Down(_)));
        traffic.serves(Purpose::Consume);
        assert_eq!(traffic.state(), BusState::Up);
    }

    #[test]
    fn an_alarm_shows_until_it_lifts_or_the_connection_is_new() {
        let traffic = Traffic::default();
        for lift in [Traffic::unblocked as fn(&Traffic), |traffic| traffic.serves(Purpose::Publish)] {
            traffic.blocked("low on memory");
            assert!(traffic.state().to_string().contains("low on memory"));
            lift(&traffic);
            assert_eq!(traffic.state(), BusState::Up);
        }
    }
}
