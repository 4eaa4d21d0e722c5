//! Members: who receives for a consumer, each over a bus of its own, all with the one store.
//!
//! Members of one consumer compete as several processes would, and still an order takes effect once:
//! whoever gets a message, what was seen and what it caused is kept in the same place. Members whose
//! stores differ cannot promise that.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bus::inbox::IdempotentReceiver;
use bus::middleware::Middleware;
use bus::pipeline::{Handler, Pipeline, PipelineState, PipelineStatus};
use bus::{Bus, Destination, Result, Subscription};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::side_by_side::{Part, side_by_side};
use crate::wire::{identify_event, identify_order};

use super::{Consumer, Inside, events, orders};

/// Receives orders and sync events until it is stopped; see [`Consumer::member`].
#[must_use = "a member receives only while it runs"]
pub struct Member {
    enlisted: Enlisted,
    pipelines: [Pipeline; 2],
}

/// A place in the list of members, left when dropped.
struct Enlisted {
    consumer: Arc<Consumer>,
    number: u64,
    /// The consumer goes on publishing until it is dropped.
    _running: TaskTrackerToken,
}

/// The members of a consumer that are there.
#[derive(Default)]
pub(super) struct Members {
    statuses: Mutex<Statuses>,
    /// What the last handlers of a member cause is published too.
    pub(super) running: TaskTracker,
}

/// How the pipelines of each member are doing.
#[derive(Default)]
struct Statuses {
    last_number: u64,
    by_number: BTreeMap<u64, [PipelineStatus; 2]>,
}

impl Consumer {
    /// A member that receives over `bus`. On a bus whose receivers share one place among the competitors
    /// it needs a connection of its own to be a competitor of its own.
    ///
    /// Members may be added while others run, and stopped again. Only what runs counts as ready.
    /// [`run_with`](Consumer::run_with) waits for each: run it or drop it.
    pub fn member(self: &Arc<Self>, bus: &Arc<dyn Bus>) -> Member {
        let orders = IdempotentReceiver::new(Arc::clone(&self.mailbox), orders::Orders(Arc::clone(self)));
        let orders = self.pipeline(bus, &self.settings.order_queue, Arc::new(orders)).identify_with(identify_order);
        let events = IdempotentReceiver::new(Arc::clone(&self.mailbox), events::Events(Arc::clone(self)));
        let events = self.pipeline(bus, &self.settings.sync_queue, Arc::new(events)).identify_with(identify_event);
        let pipelines = [orders, events];
        let number = self.members.enlist(pipelines.each_ref().map(Pipeline::status));
        let enlisted = Enlisted { consumer: Arc::clone(self), number, _running: self.members.running.token() };
        Member { enlisted, pipelines }
    }

    fn pipeline(&self, bus: &Arc<dyn Bus>, queue: &Destination, handler: Arc<dyn Handler>) -> Pipeline {
        let inside = |handler, middleware: &Arc<dyn Middleware>| {
            Arc::new(Inside { middleware: Arc::clone(middleware), handler }) as Arc<dyn Handler>
        };
        let handler = self.middleware.iter().rev().fold(handler, inside);
        let subscription = Subscription::to(queue.clone());
        Pipeline::new(Arc::clone(bus), subscription, handler, self.seams.clone())
            .with_policy(self.settings.policy)
            .with_attempts(Arc::clone(&self.mailbox) as _)
    }
}

impl Member {
    /// Receives and processes until `stop`; then drains and gives the rest back.
    ///
    /// `Ok` says that it has ended, by `stop`, because its bus was closed or because it was refused; not that
    /// all was settled: what was not comes again. A dropped call gives back what is in hand.
    ///
    /// # Errors
    /// Whatever kept it from subscribing.
    pub async fn run(self, stop: CancellationToken) -> Result<()> {
        let Self { enlisted: _enlisted, pipelines } = self;
        // When one subscription ends, so does the other: half a member would look like a whole one.
        let stop = stop.child_token();
        let receive = |pipeline: Pipeline| {
            let stop = stop.clone();
            Box::pin(async move {
                let ended = pipeline.run(stop.clone()).await;
                stop.cancel();
                ended
            }) as Part<_>
        };
        let ended = side_by_side(pipelines.map(receive)).await;
        ended.into_iter().collect()
    }
}

impl Drop for Enlisted {
    fn drop(&mut self) {
        self.consumer.members.statuses().by_number.remove(&self.number);
    }
}

impl Members {
    fn statuses(&self) -> MutexGuard<'_, Statuses> {
        self.statuses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enlist(&self, pipelines: [PipelineStatus; 2]) -> u64 {
        let mut statuses = self.statuses();
        statuses.last_number += 1;
        let number = statuses.last_number;
        statuses.by_number.insert(number, pipelines);
        number
    }

    /// How the pipelines of all members are doing, by queue.
    pub(super) fn pipelines(&self) -> [Vec<PipelineStatus>; 2] {
        let statuses = self.statuses();
        [0, 1].map(|queue| statuses.by_number.values().map(|pipelines| pipelines[queue].clone()).collect())
    }

    /// Why not all of them receive.
    pub(super) fn trouble(&self) -> Option<String> {
        let statuses = self.statuses();
        if statuses.by_number.is_empty() {
            return Some("no member is there".to_owned());
        }
        let is_one_of_many = statuses.by_number.len() > 1;
        let told = |(number, pipelines): (&u64, &[PipelineStatus; 2])| -> Vec<String> {
            let whose = if is_one_of_many { format!("member {number}: ") } else { String::new() };
            pipelines.iter().filter_map(not_receiving).map(|trouble| format!("{whose}{trouble}")).collect()
        };
        let trouble: Vec<String> = statuses.by_number.iter().flat_map(told).collect();
        (!trouble.is_empty()).then(|| trouble.join("; "))
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

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Member").field("number", &self.enlisted.number).finish_non_exhaustive()
    }
}
