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
    /// A group may read more than one: retries and delays have topics of their own.
    pub(super) topic: String,
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
    fn all(&self) -> BTreeMap<(String, String, i32), Progress> {
        let mut all = BTreeMap::new();
        for source in self.0.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            for Partition { group, topic, number, progress } in source() {
                let known: &mut Progress = all.entry((group, topic, number)).or_insert_with(|| progress.clone());
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
        topic: lag.topic,
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
        let mut family = |name, help, unit: Option<Unit>, value: &dyn Fn(&Progress) -> Option<f64>| {
            let mut shown = all.iter().filter_map(|(at, progress)| Some((at, value(progress)?))).peekable();
            if shown.peek().is_none() {
                return Ok(());
            }
            let mut gauge = encoder.encode_descriptor(name, help, unit.as_ref(), MetricType::Gauge)?;
            shown.try_for_each(|((group, topic, number), value)| {
                let labels = [("group", group.clone()), ("topic", topic.clone()), ("partition", number.to_string())];
                gauge.encode_family(&labels)?.encode_gauge(&value)
            })
        };
        let (name, help) = ("messaging_partition_watermark", "First offset that is not settled.");
        family(name, help, None, &|progress| progress.watermark.map(|offset| offset as f64))?;
        let (name, help) = ("messaging_partition_watermark_age", "Since when the message at the watermark is here.");
        family(name, help, Some(Unit::Seconds), &|progress| Some(progress.watermark_age.as_secs_f64()))?;
        let (name, help) = ("messaging_partition_window", "Messages read at or beyond the watermark.");
        let messages = Unit::Other("messages".to_owned());
        family(name, help, Some(messages), &|progress| Some(progress.window_count as f64))
    }
}

impl fmt::Debug for Lags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lags")
    }
}

#[cfg(test)]
mod tests {
    use bus::metrics::Registry;
    use bus::metrics::prometheus_client::encoding::text::encode;

    use super::*;

    fn partition(number: i32, watermark: Option<i64>, age_seconds: u64) -> Partition {
        let watermark_age = Duration::from_secs(age_seconds);
        Partition {
            group: "orders".to_owned(),
            topic: "orders".to_owned(),
            number,
            progress: Progress { watermark, window_count: 3, watermark_age },
        }
    }

    /// The page without what is said of the families.
    fn shown(lags: &Lags) -> String {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(lags.clone()));
        let mut page = String::new();
        encode(&mut page, &registry).expect("text can be written to a string");
        page.lines().filter(|line| !line.starts_with("# ")).map(|line| format!("{line}\n")).collect()
    }

    #[test]
    fn each_partition_has_one_line_whoever_knows_it() {
        let lags = Lags::default();
        assert_eq!(shown(&lags), "", "nobody tells");
        lags.add(Some(Box::new(|| vec![partition(0, Some(7), 0), partition(1, Some(9), 60)])));
        lags.add(Some(Box::new(|| vec![partition(1, Some(12), 0), partition(2, None, 0)])));
        let retries = Partition { topic: "retries".to_owned(), ..partition(0, None, 0) };
        lags.add(Some(Box::new(move || vec![retries.clone()])));
        lags.add(None);
        let expected = r#"messaging_partition_watermark{group="orders",topic="orders",partition="0"} 7.0
messaging_partition_watermark{group="orders",topic="orders",partition="1"} 9.0
messaging_partition_watermark_age_seconds{group="orders",topic="orders",partition="0"} 0.0
messaging_partition_watermark_age_seconds{group="orders",topic="orders",partition="1"} 60.0
messaging_partition_watermark_age_seconds{group="orders",topic="orders",partition="2"} 0.0
messaging_partition_watermark_age_seconds{group="orders",topic="retries",partition="0"} 0.0
messaging_partition_window_messages{group="orders",topic="orders",partition="0"} 3.0
messaging_partition_window_messages{group="orders",topic="orders",partition="1"} 3.0
messaging_partition_window_messages{group="orders",topic="orders",partition="2"} 3.0
messaging_partition_window_messages{group="orders",topic="retries",partition="0"} 3.0
"#;
        assert_eq!(shown(&lags), expected);
    }
}
