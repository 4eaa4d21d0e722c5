//! How much waits on a subscription, asked of the bus.

use std::sync::Arc;

use async_trait::async_trait;
use bus::metrics::Metrics;
use bus::{Bus, Subscription};
use tracing::debug;

use super::probe::Probe;

pub(super) struct DepthProbe {
    metrics: Metrics,
    bus: Arc<dyn Bus>,
    subscription: [Subscription; 1],
}

impl DepthProbe {
    pub(super) fn new(metrics: &Metrics, bus: &Arc<dyn Bus>, subscription: Subscription) -> Self {
        Self { metrics: metrics.clone(), bus: Arc::clone(bus), subscription: [subscription] }
    }
}

#[async_trait]
impl Probe for DepthProbe {
    async fn look(&self) {
        if let Err(error) = self.metrics.sample(self.bus.as_ref(), &self.subscription).await {
            debug!(%error, "the depth of a subscription was not counted");
        }
    }

    fn forget(&self) {
        self.metrics.forget(&self.subscription);
    }
}
