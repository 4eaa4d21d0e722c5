//! `amqp://` and `amqps://` in a registry.

use std::sync::Arc;

use async_trait::async_trait;
use bus::registry::Backend;
use bus::{Bus, BusUrl, Result, Seams};

use crate::{AmqpBus, AmqpOptions};

/// Opens `amqp://USER:PASSWORD@HOST[:PORT]/VHOST?option=value…`, and `amqps://` over TLS.
///
/// | option | value | meaning |
/// |---|---|---|
/// | `queue` | `quorum`, `classic` | what queues declared here are |
/// | `replicated` | `on`, `off` | your word that the cluster has three nodes: an accepted message survives one |
/// | `timeout` | seconds | how long RabbitMQ may take to answer or to confirm |
/// | `consumer_timeout` | minutes or seconds | the server's own, where it was changed: how long a delivery may be held |
/// | `receive_count_max` | 1–1000000 | receives after which a quorum queue itself moves a message to the dead letters |
/// | `message_bytes_max` | to 16777216 | largest message |
/// | `ca` | file | certificate authority of `amqps://` in PEM, beside those of the system |
/// | `allow_plaintext` | `on`, `off` | whether `amqp://` may leave this machine |
#[derive(Clone, Copy, Debug, Default)]
pub struct AmqpBackend;

#[async_trait]
impl Backend for AmqpBackend {
    fn schemes(&self) -> &'static [&'static str] {
        &["amqp", "amqps"]
    }

    async fn open(&self, url: &BusUrl, seams: &Seams) -> Result<Arc<dyn Bus>> {
        Ok(AmqpBus::open(AmqpOptions::of(url)?, seams.clone()))
    }
}
