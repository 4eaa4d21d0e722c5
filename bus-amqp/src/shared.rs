//! What the bus and its receivers share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bus::Seams;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::AmqpOptions;
use crate::connect::Link;
use crate::publisher::Job;
use crate::queues::Queues;
use crate::traffic::Traffic;

/// Seams, connections, queues, and the tasks that close waits for.
pub(crate) struct Shared {
    pub(crate) options: AmqpOptions,
    pub(crate) seams: Seams,
    pub(crate) traffic: Arc<Traffic>,
    pub(crate) link: Arc<Link>,
    pub(crate) queues: Queues,
    /// To the task that publishes.
    pub(crate) jobs: mpsc::Sender<Job>,
    /// Receivers, and settlements that take more than one step.
    pub(crate) tasks: TaskTracker,
    /// The task that publishes ends when nothing more can come.
    pub(crate) publishing: TaskTracker,
    /// Fires when the bus closes: nothing new is received or published.
    pub(crate) closed: CancellationToken,
    /// Fires when nothing is settled any more, so nothing is published either.
    pub(crate) closing: CancellationToken,
    last_epoch: AtomicU64,
}

impl Shared {
    pub(crate) fn new(options: AmqpOptions, seams: Seams, jobs: mpsc::Sender<Job>) -> Self {
        let traffic = Arc::new(Traffic::default());
        let link = Arc::new(Link::new(options.clone(), seams.clone(), Arc::clone(&traffic)));
        Self {
            queues: Queues::new(Arc::clone(&link), options.clone(), seams.clone()),
            options,
            seams,
            traffic,
            link,
            jobs,
            tasks: TaskTracker::new(),
            publishing: TaskTracker::new(),
            closed: CancellationToken::new(),
            closing: CancellationToken::new(),
            last_epoch: AtomicU64::new(0),
        }
    }

    /// A number for a channel, given to no other: its deliveries are nobody else's.
    pub(crate) fn next_epoch(&self) -> u64 {
        self.last_epoch.fetch_add(1, Ordering::Relaxed) + 1
    }
}
