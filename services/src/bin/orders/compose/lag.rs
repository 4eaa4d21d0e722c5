//! How far a consumer's partitions are, on the consumer's page.
//!
//! The contract of a bus has no word for partitions, so a backend that has them tells the composition root, and
//! only this file and the page know.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bus::metrics::prometheus_client::collector::Collector;
use bus::metrics::prometheus_client::encoding::DescriptorEncoder;
use bus::metrics::prometheus_client::metrics::MetricType;
use bus::metrics::prometheus_client::registry::Unit;
use services::metrics::Page;

/// Answers from memory.
pub(super) type Source = Box<dyn Fn() -> Vec<Partition> + Send + Sync>;

/// One partition of one subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Partition {
    pub(super) group: String,
    pub(super) number: i32,
    pub(super) progress: Progress,
}

/// How far it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Progress {
    /// The first offset that is not settled; `None` before anything was read.
    pub(super) watermark: Option<i64>,
    /// Messages read at or beyond it: what a crash would bring again at most.
    pub(super) window_count: usize,
    /// Since when the message at the watermark is here.
    pub(super) watermark_age: Duration,
}

/// The partitions of all members, each over a connection of its own.
#[derive(Clone, Default)]
pub(super) struct Lags(Arc<Mutex<Vec<Source>>>);

impl Lags {
    /// Adds those of one more connection.
    pub(super) fn add(&self, source: Option<Source>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(source);
    }

    /// Shows them on `page`, also those that are added later.
    pub(super) fn show_on(&self, page: &mut Page) {
        page.collect(Box::new(self.clone()));
    }

    /// A partition has one line. While it changes hands two members may know it: the one that has held up its
    /// watermark longer is shown.
    fn all(&self) -> BTreeMap<(String, i32), Progress> {
        let mut all = BTreeMap::new();
        for source in self.0.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            for Partition { group, number, progress } in source() {
                let known: &mut Progress = all.entry((group, number)).or_insert_with(|| progress.clone());
                if progress.watermark_age > known.watermark_age {
                    *known = progress;
                }
            }
        }
        all
    }
}

#[cfg(feature = "kafka")]
pub(super) fn of_kafka(kafka: Arc<bus_kafka::KafkaBus>) -> Source {
    let partition = |lag: bus_kafka::PartitionLag| Partition {
        group: lag.group,
        number: lag.partition,
        progress: Progress {
            watermark: lag.watermark,
            window_count: lag.window_count,
            watermark_age: lag.watermark_age,
        },
    };
    Box::new(move || kafka.lag().into_iter().map(partition).collect())
}

impl Collector for Lags {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let all = self.all();
        if all.is_empty() {
            return Ok(());
        }
        let labels = |(group, number): &(String, i32)| [("group", group.clone()), ("partition", number.to_string())];
        let (name, help) = ("messaging_partition_watermark", "First offset that is not settled.");
        let mut gauge = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (at, progress) in &all {
            if let Some(watermark) = progress.watermark {
                gauge.encode_family(&labels(at))?.encode_gauge(&watermark)?;
            }
        }
        let (name, help) = ("messaging_partition_watermark_age", "Since when the message at the watermark is here.");
        let mut gauge = encoder.encode_descriptor(name, help, Some(&Unit::Seconds), MetricType::Gauge)?;
        for (at, progress) in &all {
            gauge.encode_family(&labels(at))?.encode_gauge(&progress.watermark_age.as_secs_f64())?;
        }
        let (name, help) = ("messaging_partition_window", "Messages read at or beyond the watermark.");
        let messages = Unit::Other("messages".to_owned());
        let mut gauge = encoder.encode_descriptor(name, help, Some(&messages), MetricType::Gauge)?;
        for (at, progress) in &all {
            gauge.encode_family(&labels(at))?.encode_gauge(&(progress.window_count as u64))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Lags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lags")
    }
}
