//! `sqs://` in a registry.

use std::sync::Arc;

use async_trait::async_trait;
use bus::registry::Backend;
use bus::{Bus, BusUrl, Result, Seams};

use crate::{SqsBus, SqsOptions};

/// Opens `sqs://REGION?option=value…`; credentials come by the AWS default chain.
///
/// | option | value | meaning |
/// |---|---|---|
/// | `endpoint` | URL | where every call goes, in place of the region's own |
/// | `fifo` | `on`, `off` | FIFO queues: order per key, `.fifo` behind each name |
/// | `lease` | seconds | visibility timeout of queues declared here; existing ones keep their own |
/// | `wait` | seconds, to 20 | length of a long poll, and so of a shutdown |
/// | `polls` | 1–100 | most polls under way of one receiver |
/// | `receive_count_max` | 1–1000 | receives after which SQS itself moves a message to the dead letters |
/// | `message_bytes_max` | to 720896 | largest message: body, key and headers |
/// | `allow_plaintext` | `on`, `off` | whether an `http://` endpoint may be off loopback |
#[derive(Clone, Copy, Debug, Default)]
pub struct SqsBackend;

#[async_trait]
impl Backend for SqsBackend {
    fn schemes(&self) -> &'static [&'static str] {
        &["sqs"]
    }

    async fn open(&self, url: &BusUrl, seams: &Seams) -> Result<Arc<dyn Bus>> {
        Ok(SqsBus::open(SqsOptions::of(url)?, seams.clone()).await)
    }
}
