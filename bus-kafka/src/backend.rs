//! `kafka://` in a registry.

use std::sync::Arc;

use async_trait::async_trait;
use bus::registry::Backend;
use bus::{Bus, BusUrl, Result, Seams};

use crate::{KafkaBus, KafkaOptions};

/// Opens `kafka://[USER:PASSWORD@]HOST:PORT[,HOST:PORT…]?option=value…`.
///
/// | option | value | meaning |
/// |---|---|---|
/// | `partitions` | 1–1000 | partitions of topics declared here; existing ones must have as many |
/// | `retention` | seconds or more | how long topics declared here keep messages; existing ones must agree |
/// | `replication` | 1–16 | copies of topics declared here; left out, the broker's default |
/// | `admin` | `on`, `off` | off: topics are made by asking for them, on servers without `CreateTopics` |
/// | `window` | 16–1000000 | messages of a partition read beyond its first unsettled one |
/// | `drain` | to 1 minute | how long a rebalance waits for what is in hand |
/// | `holder` | letters, digits, `-`, `_` | names the store that keeps the effects; a group takes members of one only |
/// | `session` | 6 s to 5 minutes | after which a member that is not heard of is taken its partitions |
/// | `poll` | 6 s to 1 hour | `max.poll.interval`: the same for a member whose thread stands still |
/// | `timeout` | 1 s to 5 minutes | how long a message may wait for its delivery report |
/// | `message_bytes_max` | to 8388608 | largest message |
/// | `delays` | `off`, `topics` | topics: messages may be delayed, for up to 30 days; they wait in topics of the bus's own |
/// | `retries` | `hand`, `topics` | where a nack with a delay waits: here, its key behind it, or in topics, out of order |
/// | `scope` | letters, digits, `-`, `_` | in front of the names of delay topics; buses of one scope share them |
/// | `tls` | `on`, `off` | encrypted connections; needs the feature `tls` |
/// | `allow_plaintext` | `on`, `off` | whether unencrypted connections may leave this machine |
#[derive(Clone, Copy, Debug, Default)]
pub struct KafkaBackend;

#[async_trait]
impl Backend for KafkaBackend {
    fn schemes(&self) -> &'static [&'static str] {
        &["kafka"]
    }

    async fn open(&self, url: &BusUrl, seams: &Seams) -> Result<Arc<dyn Bus>> {
        Ok(KafkaBus::open(KafkaOptions::of(url)?, seams.clone())?)
    }
}
