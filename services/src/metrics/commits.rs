//! How well writes to a journalled store share syncs.

use std::fmt;
use std::sync::Arc;

use bus::metrics::prometheus_client::collector::Collector;
use bus::metrics::prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use bus::metrics::prometheus_client::metrics::counter::ConstCounter;

use crate::store::JournaledStore;

use super::page::Page;

#[derive(Debug)]
struct StoreCommits(Arc<JournaledStore>);

impl JournaledStore {
    /// Shows on `page` how many writes were synced, and in how many groups.
    pub fn show_on(self: &Arc<Self>, page: &mut Page) {
        page.collect(Box::new(StoreCommits(Arc::clone(self))));
    }
}

impl Collector for StoreCommits {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let commits = self.0.commits();
        for (name, help, count) in [
            ("orders_store_commits", "Writes on disk.", commits.change_count),
            ("orders_store_syncs", "Groups of writes: one sync of the disk each.", commits.group_count),
        ] {
            let counter = ConstCounter::new(count);
            counter.encode(encoder.encode_descriptor(name, help, None, counter.metric_type())?)?;
        }
        Ok(())
    }
}
