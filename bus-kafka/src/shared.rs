//! What the bus and its members share.

use std::sync::Arc;

use bus::{Error, ErrorKind, Seams};
use tokio_util::sync::CancellationToken;

use crate::config::KafkaOptions;
use crate::producer::Publisher;
use crate::topology::Topics;
use crate::traffic::Traffic;

/// Seams, clients and what is known of the brokers.
pub(crate) struct Shared {
    pub(crate) options: KafkaOptions,
    pub(crate) seams: Seams,
    pub(crate) traffic: Arc<Traffic>,
    pub(crate) topics: Topics,
    pub(crate) publisher: Publisher,
    /// Fires when the bus closes: nothing new is received or published.
    pub(crate) closing: CancellationToken,
}

pub(crate) fn closed(operation: &'static str) -> Error {
    Error::new(ErrorKind::Closed, operation, "the bus is closed")
}
