//! What is looked up when somebody asks, and not counted as it happens.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bus::metrics::prometheus_client::encoding::{EncodeGaugeValue, EncodeMetric, MetricEncoder};
use bus::metrics::prometheus_client::metrics::{MetricType, TypedMetric};

/// Looks something up for the page. The page bounds how long that may take and how often it is done.
#[async_trait]
pub(crate) trait Probe: Send + Sync {
    /// Looks and shows. A dropped look shows something or nothing.
    async fn look(&self);

    /// Shows nothing: the look took too long.
    fn forget(&self);
}

/// A gauge that is absent while its value is not known, rather than shown as it was.
#[derive(Debug)]
pub(crate) struct Seen<N>(Arc<Mutex<Option<N>>>);

impl<N> Seen<N> {
    pub(crate) fn set(&self, value: Option<N>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = value;
    }
}

impl<N: Copy> Seen<N> {
    fn get(&self) -> Option<N> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<N> Clone for Seen<N> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<N> Default for Seen<N> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<N> TypedMetric for Seen<N> {
    const TYPE: MetricType = MetricType::Gauge;
}

impl<N: Copy + EncodeGaugeValue> EncodeMetric for Seen<N> {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        self.get().map_or(Ok(()), |value| encoder.encode_gauge(&value))
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }

    fn is_empty(&self) -> bool {
        self.get().is_none()
    }
}
