//! What a backend gives the suite.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::{Bus, Destination, Error, ErrorKind, Result, Seams};

/// One broker, fresh or shared, and the ways to get at it. A new one is made for each case.
///
/// Two methods are needed; the others open more of the suite to backends that can.
#[async_trait]
pub trait Harness: Send + Sync + 'static {
    /// Whose time the bus runs on.
    fn time(&self) -> Time;

    /// Connects to the broker as another process would: every connection sees what the others
    /// published. Destinations are named anew for each case, so a shared broker is no harm.
    ///
    /// # Errors
    /// Any error fails the case.
    async fn connect(&self, seams: &Seams) -> Result<Arc<dyn Bus>>;

    /// What this server is known to do otherwise.
    fn deviations(&self) -> &'static [Deviation] {
        &[]
    }

    /// A hold on the broker, to take it away under load.
    fn outages(&self) -> Option<&dyn Outages> {
        None
    }

    /// Texts that must appear in no `Debug`, no error and no log line, such as passwords.
    fn secrets(&self) -> &'static [&'static str] {
        &[]
    }

    /// How many calls the client has made to the broker so far, where somebody counts.
    fn api_call_count(&self) -> Option<u64> {
        None
    }

    /// Most calls per message over send, receive and settlement together, in batches under load.
    fn api_calls_per_message_max(&self) -> f64 {
        1.0
    }

    /// Whether a foreign producer can send what the backend cannot make a message of.
    fn has_undecodable(&self) -> bool {
        false
    }

    /// Sends such a message with the broker's own client: exactly these bytes, which its dead letter
    /// must have for a body.
    ///
    /// # Errors
    /// Those of that client.
    async fn publish_undecodable(&self, destination: &Destination, raw: &[u8]) -> Result<()> {
        let _ = (destination, raw);
        Err(Error::new(ErrorKind::Unsupported, "publish", "this harness has no foreign producer"))
    }
}

/// Whose time a bus runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Time {
    /// Paused time: a wait takes no time, and the case runs on one thread. For a bus whose every wait
    /// is on the clock of its [`Seams`] or on another task: while a blocking call runs on
    /// `spawn_blocking` time stands still. There are no sockets here.
    Virtual,
    /// The machine's.
    Real {
        /// The shortest lease and delay the broker can keep; cases wait for a few of them.
        unit: Duration,
        /// How long nothing must have come for nothing to come.
        patience: Duration,
    },
}

/// What a server does otherwise than the contract says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deviation {
    /// The case, by [`Case::name`](super::Case::name).
    pub case: &'static str,
    /// What it does instead, and where that is known from.
    pub reason: &'static str,
}

/// Takes a broker away and gives it back.
#[async_trait]
pub trait Outages: Send + Sync {
    /// Whether accepted messages are still there after [`kill_and_restart`](Self::kill_and_restart).
    fn state_survives_kill(&self) -> bool;

    /// Ends the broker without warning and starts it again.
    async fn kill_and_restart(&self);

    /// Breaks every connection; new ones are accepted.
    async fn cut(&self);

    /// Lets nothing through for `span`, in either direction, without breaking a connection.
    async fn stall(&self, span: Duration);
}
