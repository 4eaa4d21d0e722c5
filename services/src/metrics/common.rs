//! What both sides show: how bus, relay, store and outbox are doing.

use std::sync::Arc;

use async_trait::async_trait;
use bus::metrics::prometheus_client::metrics::gauge::Gauge;
use bus::metrics::prometheus_client::registry::Unit;
use bus::outbox::RelayStatus;
use bus::{Bus, BusState, Result};
use jiff::Timestamp;

use crate::store::{Direction, Mailbox, Store, Table};

use super::page::Page;
use super::probe::{Probe, Seen};
use super::words::Words;

/// Most rows that are counted: a page must not read a whole store.
pub(crate) const COUNTED_MAX: usize = 10_000;

/// What a service has in common with the other one.
pub(crate) struct Common {
    bus: Arc<dyn Bus>,
    mailbox: Arc<Mailbox>,
    relay: RelayStatus,
    bus_state: Words<Gauge>,
    relay_up: Gauge,
    store_up: Gauge,
    waiting: Seen<u64>,
    oldest_age: Seen<f64>,
    parked: Seen<u64>,
}

impl Common {
    pub(crate) fn show_on(page: &mut Page, bus: &Arc<dyn Bus>, mailbox: &Arc<Mailbox>, relay: &RelayStatus) {
        let common = Self {
            bus: Arc::clone(bus),
            mailbox: Arc::clone(mailbox),
            relay: relay.clone(),
            bus_state: Words::new("state", ["up", "degraded", "down"]),
            relay_up: Gauge::default(),
            store_up: Gauge::default(),
            waiting: Seen::default(),
            oldest_age: Seen::default(),
            parked: Seen::default(),
        };
        let (registry, messages) = (page.registry(), || Unit::Other("messages".to_owned()));
        registry.register("orders_bus_state", "1 for the state the bus is in", common.bus_state.clone());
        registry.register("orders_relay_up", "Whether the outbox can be published", common.relay_up.clone());
        registry.register("orders_store_up", "Whether the store serves", common.store_up.clone());
        let help = "Messages that wait to be published, as far as they are counted";
        registry.register_with_unit("orders_outbox", help, messages(), common.waiting.clone());
        let help = "Age of the oldest message that waits to be published";
        registry.register_with_unit("orders_outbox_oldest_age", help, Unit::Seconds, common.oldest_age.clone());
        let help = "Messages the bus refuses for good";
        registry.register_with_unit("orders_outbox_parked", help, messages(), common.parked.clone());
        page.probe(common);
    }

    async fn look_at_outbox(&self) -> Result<()> {
        let mailbox = &self.mailbox;
        let (waiting_count, oldest) = mailbox.backlog(COUNTED_MAX).await?;
        let now = mailbox.seams().clock.wall();
        self.waiting.set(Some(waiting_count as u64));
        self.oldest_age.set(Some(oldest.map_or(0.0, |made_at| age(now, made_at))));
        self.parked.set(Some(count(mailbox.store().as_ref(), Table::Parked).await?));
        Ok(())
    }
}

/// Rows of a table, up to [`COUNTED_MAX`].
pub(crate) async fn count(store: &dyn Store, table: Table) -> Result<u64> {
    Ok(store.scan(&table.all(), Direction::Forward, COUNTED_MAX).await?.len() as u64)
}

/// In seconds, and never negative: wall clocks jump.
pub(crate) fn age(now: Timestamp, then: Timestamp) -> f64 {
    now.duration_since(then).as_secs_f64().max(0.0)
}

#[async_trait]
impl Probe for Common {
    async fn look(&self) {
        let state = match self.bus.state() {
            BusState::Up => "up",
            BusState::Degraded(_) => "degraded",
            BusState::Down(_) => "down",
        };
        for (word, gauge) in self.bus_state.iter() {
            gauge.set(i64::from(word == state));
        }
        self.relay_up.set(i64::from(self.relay.trouble().is_none()));
        self.store_up.set(i64::from(self.mailbox.store().trouble().is_none()));
        if self.look_at_outbox().await.is_err() {
            self.forget();
        }
    }

    fn forget(&self) {
        self.waiting.set(None);
        self.oldest_age.set(None);
        self.parked.set(None);
    }
}
