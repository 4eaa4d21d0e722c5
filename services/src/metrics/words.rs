//! Families whose label has a few values, all known beforehand.

use std::fmt;

use bus::metrics::prometheus_client::encoding::{EncodeMetric, MetricEncoder};
use bus::metrics::prometheus_client::metrics::counter::Counter;
use bus::metrics::prometheus_client::metrics::{MetricType, TypedMetric};

/// One metric for each word of a label. All are shown from the start, so that a rate over the first
/// count is right, and counting costs no look-up in a map. A clone counts into the same metrics.
#[derive(Clone, Debug)]
pub(crate) struct Words<M> {
    label: &'static str,
    metrics: Vec<(&'static str, M)>,
}

impl<M: Default> Words<M> {
    pub(crate) fn new(label: &'static str, words: impl IntoIterator<Item = &'static str>) -> Self {
        Self { label, metrics: words.into_iter().map(|word| (word, M::default())).collect() }
    }
}

impl<M> Words<M> {
    /// The metric of a word.
    ///
    /// # Panics
    /// When the family was made without that word.
    pub(crate) fn of(&self, word: &str) -> &M {
        let found = self.metrics.iter().find(|(known, _)| *known == word);
        &found.expect("the words of a family are all there are").1
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&'static str, &M)> {
        self.metrics.iter().map(|(word, metric)| (*word, metric))
    }
}

impl<M: TypedMetric> TypedMetric for Words<M> {
    const TYPE: MetricType = M::TYPE;
}

impl<M: EncodeMetric + TypedMetric> EncodeMetric for Words<M> {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        self.metrics.iter().try_for_each(|(word, metric)| {
            let labels = [(self.label, *word)];
            metric.encode(encoder.encode_family(&labels)?)
        })
    }

    fn metric_type(&self) -> MetricType {
        M::TYPE
    }
}

/// Counters by word.
pub(crate) type Counters = Words<Counter>;
