//! A mailbox, a bus and relays between them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bus::outbox::{Outbox, Relay, RelayStatus};
use bus::{Bus, Outgoing};
use bus_memory::MemoryOptions;
use services::store::{Batch, Mailbox, Store};
use tests::harness::{FlakyStore, Publication, Rig, message};
use tokio_util::sync::CancellationToken;

const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(10);

/// A rig with a mailbox on a store, and relays between them.
pub(crate) struct Desk {
    pub(crate) rig: Rig,
    pub(crate) store: Arc<FlakyStore>,
    pub(crate) mailbox: Arc<Mailbox>,
}

impl Desk {
    pub(crate) async fn on(options: MemoryOptions) -> Self {
        let rig = Rig::on(options).await;
        let store = FlakyStore::new();
        let mailbox = Arc::new(Mailbox::new(Arc::clone(&store) as Arc<dyn Store>, rig.seams.clone()));
        Self { rig, store, mailbox }
    }

    pub(crate) async fn new() -> Self {
        Self::on(MemoryOptions::default()).await
    }

    /// Adds one row per id with this key; `""` is no key.
    pub(crate) async fn write(&self, key: &str, ids: &[&str]) {
        let rows: Vec<Outgoing> =
            ids.iter().map(|id| Outgoing::new(self.rig.queue.clone(), message(id, key))).collect();
        let _ = self.mailbox.apply(Batch::new(), &rows).await;
    }

    pub(crate) fn relay(&self) -> Relay {
        let bus: Arc<dyn Bus> = Arc::clone(&self.rig.meddler) as _;
        Relay::new(bus, Arc::clone(&self.mailbox) as _, self.rig.seams.clone())
    }

    /// Runs a relay while `scenario` does, then drops it where it stands.
    pub(crate) async fn alongside<T>(&self, relay: Relay, scenario: impl Future<Output = T>) -> T {
        tokio::select! {
            biased;
            output = scenario => output,
            () = relay.run(CancellationToken::new()) => panic!("nobody stopped the relay"),
        }
    }

    pub(crate) async fn row_count(&self) -> usize {
        self.mailbox.pending(0, usize::MAX).await.expect("the store is up").len()
    }

    /// Relays until the outbox is empty.
    pub(crate) async fn relay_all(&self) -> RelayStatus {
        let relay = self.relay();
        let status = relay.status();
        self.alongside(relay, self.emptied()).await;
        status
    }

    pub(crate) async fn emptied(&self) {
        while self.row_count().await > 0 {
            self.rig.pass(LOOK_AGAIN_AFTER).await;
            assert!(self.rig.elapsed() < Duration::from_secs(10_000), "{} rows left", self.row_count().await);
        }
    }

    /// Ids of each published batch, in order.
    pub(crate) fn published(&self) -> Vec<Vec<String>> {
        let ids = |batch: Vec<Outgoing>| batch.iter().map(|outgoing| outgoing.message().id().to_string()).collect();
        self.rig.meddler.published().into_iter().map(|(_, batch)| ids(batch)).collect()
    }

    /// When batches with this message were published, and the message each time.
    pub(crate) fn sent(&self, id: &str) -> Vec<(Duration, Outgoing)> {
        let of = |(at, batch): (Duration, Vec<Outgoing>)| {
            batch.into_iter().filter(|one| one.message().id().to_string() == id).map(move |one| (at, one))
        };
        self.rig.meddler.published().into_iter().flat_map(of).collect()
    }

    /// Ids on the queue by key, in order, first arrivals only.
    pub(crate) async fn arrived(&self) -> BTreeMap<String, Vec<String>> {
        let mut keys: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for delivery in self.rig.waiting().await {
            let message = delivery.message();
            let ids = keys.entry(message.key().map(ToString::to_string).unwrap_or_default()).or_default();
            let id = message.id().to_string();
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        keys
    }
}

/// Decides `first` about the first publication of `id`, lets everything else through.
pub(crate) fn once(id: &'static str, first: Publication) -> impl FnMut(&Outgoing) -> Publication + Send {
    let mut is_first = true;
    move |outgoing| {
        let is_it = outgoing.message().id().to_string() == id;
        if is_it && std::mem::take(&mut is_first) { first } else { Publication::Through }
    }
}

pub(crate) fn kinds_of_bus() -> [MemoryOptions; 2] {
    [true, false].map(|publish_atomic| MemoryOptions { publish_atomic, ..MemoryOptions::default() })
}
