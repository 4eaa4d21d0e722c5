//! What the producer shows on its page.

use std::sync::Arc;

use async_trait::async_trait;
use bus::Result;
use bus::metrics::prometheus_client::metrics::counter::Counter;
use bus::metrics::prometheus_client::registry::Unit;

use crate::domain::Status;
use crate::metrics::{COUNTED_MAX, Common, Counters, Page, Probe, Seen, age};
use crate::store::{Direction, Range};

use super::Producer;
use super::read::status_prefix;

/// What the producer counts as it happens.
#[derive(Debug)]
pub(super) struct Tally {
    /// Orders by the status they came to; `PENDING` when they were accepted.
    pub(super) changed: Counters,
    pub(super) replayed: Counter,
}

impl Default for Tally {
    fn default() -> Self {
        Self { changed: Counters::new("status", Status::ALL.map(Status::as_str)), replayed: Counter::default() }
    }
}

/// The orders without a result.
struct Pending {
    producer: Arc<Producer>,
    count: Seen<u64>,
    oldest_age: Seen<f64>,
}

impl Producer {
    /// Shows on `page` how the producer is doing; [`metrics`](crate::metrics) lists the families.
    pub fn show_on(self: &Arc<Self>, page: &mut Page) {
        Common::show_on(page, &self.bus, &self.mailbox, &self.relay_status);
        let pending = Pending { producer: Arc::clone(self), count: Seen::default(), oldest_age: Seen::default() };
        let (registry, tally) = (page.registry(), &self.tally);
        registry.register("orders_status_changes", "Orders that came to a status", tally.changed.clone());
        registry.register("orders_replayed", "Requests answered with the first answer", tally.replayed.clone());
        registry.register("orders_pending", "Orders without a result, as far as counted", pending.count.clone());
        let help = "Age of the oldest order without a result";
        registry.register_with_unit("orders_pending_oldest_age", help, Unit::Seconds, pending.oldest_age.clone());
        page.probe(pending);
    }
}

impl Pending {
    async fn see(&self) -> Result<()> {
        let producer = &self.producer;
        let range = Range::under(&status_prefix(Status::Pending));
        let rows = producer.store().scan(&range, Direction::Forward, COUNTED_MAX).await?;
        let oldest = match rows.first() {
            Some((_, number)) => producer.stored(number).await?,
            None => None,
        };
        let now = producer.seams.clock.wall();
        self.oldest_age.set(Some(oldest.map_or(0.0, |order| age(now, order.created_at))));
        self.count.set(Some(rows.len() as u64));
        Ok(())
    }
}

#[async_trait]
impl Probe for Pending {
    async fn look(&self) {
        if self.see().await.is_err() {
            self.forget();
        }
    }

    fn forget(&self) {
        self.count.set(None);
        self.oldest_age.set(None);
    }
}
