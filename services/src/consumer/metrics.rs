//! What the consumer shows on its page.

use std::sync::Arc;

use async_trait::async_trait;
use bus::Subscription;
use bus::metrics::prometheus_client::metrics::counter::Counter;
use bus::metrics::prometheus_client::metrics::family::Family;
use bus::metrics::prometheus_client::metrics::gauge::Gauge;
use bus::metrics::prometheus_client::registry::Unit;
use bus::pipeline::{PipelineState, PipelineStatus};

use crate::domain::Status;
use crate::metrics::{Common, Counters, Page, Probe, Seen, count};
use crate::store::Table;

use super::Consumer;
use super::processing::Acknowledgement;
use super::reconcile::Reconciled;

/// What the consumer counts as it happens.
#[derive(Debug)]
pub(super) struct Tally {
    pub(super) processed: Counters,
    answers: Counters,
    runs: Counters,
    checked: Counter,
    mended: Counters,
    last_success: Seen<f64>,
}

impl Default for Tally {
    fn default() -> Self {
        let processed = [Status::Completed, Status::Failed].map(Status::as_str);
        Self {
            processed: Counters::new("status", processed),
            answers: Counters::new("answer", ["applied", "undone", "foreign", "contradicted"]),
            runs: Counters::new("outcome", ["ok", "failed"]),
            checked: Counter::default(),
            mended: Counters::new("what", ["copied", "processed", "resent"]),
            last_success: Seen::default(),
        }
    }
}

impl Tally {
    /// What the producer said to a result.
    pub(super) fn answered(&self, answer: Acknowledgement) {
        let word = match answer {
            Acknowledgement::Awaited => return,
            Acknowledgement::Applied => "applied",
            Acknowledgement::Undone => "undone",
            Acknowledgement::Foreign => "foreign",
            Acknowledgement::Contradicted => "contradicted",
        };
        self.answers.of(word).inc();
    }
}

impl Consumer {
    /// Counts a run of the reconciler; what one that failed had mended by then is mended.
    pub(super) fn reconciled(&self, done: &Reconciled, is_ok: bool) {
        let tally = &self.tally;
        tally.runs.of(if is_ok { "ok" } else { "failed" }).inc();
        tally.checked.inc_by(done.checked as u64);
        for (what, mended) in [("copied", done.copied), ("processed", done.processed), ("resent", done.resent)] {
            tally.mended.of(what).inc_by(mended as u64);
        }
        if is_ok {
            tally.last_success.set(Some(self.seams.clock.wall().as_duration().as_secs_f64()));
        }
    }

    /// Shows on `page` how the consumer is doing; [`metrics`](crate::metrics) lists the families.
    pub fn show_on(self: &Arc<Self>, page: &mut Page) {
        Common::show_on(page, &self.bus, &self.mailbox, &self.relay_status);
        let queues = [&self.settings.order_queue, &self.settings.sync_queue];
        page.show_depth(&self.bus, queues.map(|queue| Subscription::to(queue.clone())));
        let receiving = Receiving {
            consumer: Arc::clone(self),
            pipelines: Family::default(),
            isolated: Family::default(),
            awaited: Seen::default(),
        };
        let (registry, tally) = (page.registry(), &self.tally);
        registry.register("orders_processed", "Orders processed to an outcome", tally.processed.clone());
        registry.register("orders_results", "Results brought, by what the producer said", tally.answers.clone());
        let help = "Results the producer has not acknowledged, as far as counted";
        registry.register("orders_results_awaited", help, receiving.awaited.clone());
        registry.register("orders_reconciler_runs", "Runs of the reconciler", tally.runs.clone());
        registry.register("orders_reconciler_checked", "Changes the reconciler looked at", tally.checked.clone());
        registry.register("orders_reconciler_mended", "What messages had not brought", tally.mended.clone());
        let (name, help) = ("orders_reconciler_last_success_timestamp", "When a run last came to its end, since 1970");
        registry.register_with_unit(name, help, Unit::Seconds, tally.last_success.clone());
        registry.register("orders_pipelines", "Pipelines of members, by state", receiving.pipelines.clone());
        let help = "Messages that failed their last attempt and hold something up";
        let messages = Unit::Other("messages".to_owned());
        registry.register_with_unit("orders_isolated", help, messages, receiving.isolated.clone());
        page.probe(receiving);
    }
}

/// How the members are doing, and what is still to be brought.
struct Receiving {
    consumer: Arc<Consumer>,
    pipelines: Family<[(&'static str, String); 2], Gauge>,
    isolated: Family<[(&'static str, String); 1], Gauge>,
    awaited: Seen<u64>,
}

const STATES: [&str; 6] = ["starting", "running", "paused", "paused_by_hand", "draining", "stopped"];

fn word_for(state: &PipelineState) -> &'static str {
    match state {
        PipelineState::Starting => "starting",
        PipelineState::Running => "running",
        PipelineState::Paused(_) => "paused",
        PipelineState::PausedByHand(_) => "paused_by_hand",
        PipelineState::Draining => "draining",
        PipelineState::Stopped => "stopped",
    }
}

impl Receiving {
    fn see(&self, queue: String, pipelines: &[PipelineStatus]) {
        let states: Vec<&str> = pipelines.iter().map(|status| word_for(&status.state())).collect();
        for state in STATES {
            let pipeline_count = states.iter().filter(|found| **found == state).count();
            let labels = [("destination", queue.clone()), ("state", state.to_owned())];
            self.pipelines.get_or_create(&labels).set(signed(pipeline_count));
        }
        let isolated_count = pipelines.iter().map(|status| status.isolated().len()).sum();
        self.isolated.get_or_create(&[("destination", queue)]).set(signed(isolated_count));
    }
}

fn signed(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[async_trait]
impl Probe for Receiving {
    async fn look(&self) {
        let consumer = &self.consumer;
        let [orders, events] = consumer.members.pipelines();
        self.see(consumer.settings.order_queue.to_string(), &orders);
        self.see(consumer.settings.sync_queue.to_string(), &events);
        self.awaited.set(count(consumer.store(), Table::Unacknowledged).await.ok());
    }

    fn forget(&self) {
        self.awaited.set(None);
    }
}
