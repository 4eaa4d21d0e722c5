//! What the bus and its receivers share.

use std::sync::Arc;

use bus::{Error, ErrorKind, Seams};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::SqsOptions;
use crate::connect::Clients;
use crate::publish::Senders;
use crate::queues::Queues;
use crate::traffic::Traffic;

/// Seams, clients, queues, and the tasks that close waits for.
pub(crate) struct Shared {
    pub(crate) options: SqsOptions,
    pub(crate) seams: Seams,
    pub(crate) clients: Clients,
    pub(crate) queues: Arc<Queues>,
    pub(crate) senders: Senders,
    pub(crate) traffic: Arc<Traffic>,
    /// Polls under way: what they bring after a stop must still be given back.
    pub(crate) polls: TaskTracker,
    /// Batchers; they end when nothing more can come.
    pub(crate) tasks: TaskTracker,
    /// Fires when the bus closes: nothing new is received or published.
    pub(crate) closing: CancellationToken,
    /// Fires once no poll is under way any more: nothing more is settled.
    pub(crate) settling: CancellationToken,
}

pub(crate) fn closed(operation: &'static str) -> Error {
    Error::new(ErrorKind::Closed, operation, "the bus is closed")
}
