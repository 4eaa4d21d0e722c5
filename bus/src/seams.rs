//! The two seams every part needs, carried together.

use std::sync::Arc;

use jiff::Timestamp;
use uuid::Builder;

use crate::clock::SystemClock;
use crate::entropy::{SeededEntropy, SystemEntropy};
use crate::{Clock, Entropy, MessageId};

/// Clock and entropy, as handed to every constructor.
#[derive(Clone, Debug)]
pub struct Seams {
    /// Where time comes from.
    pub clock: Arc<dyn Clock>,
    /// Where randomness comes from.
    pub entropy: Arc<dyn Entropy>,
}

impl Seams {
    /// The machine's own clock and entropy.
    #[must_use]
    pub fn system() -> Self {
        Self { clock: Arc::new(SystemClock::new()), entropy: Arc::new(SystemEntropy::new()) }
    }

    /// A repeatable run: calendar time from `start` on tokio's (paused) timer, randomness from `seed`.
    #[must_use]
    pub fn repeatable(start: Timestamp, seed: u64) -> Self {
        Self { clock: Arc::new(SystemClock::starting_at(start)), entropy: Arc::new(SeededEntropy::new(seed)) }
    }

    /// A fresh UUIDv7: calendar milliseconds, then entropy keyed by `identity`.
    #[must_use]
    pub fn message_id(&self, identity: &str) -> MessageId {
        let milliseconds = u64::try_from(self.clock.wall().as_millisecond()).unwrap_or(0);
        let bits = self.entropy.bits("message id", identity).to_be_bytes();
        let mut random = [0; 10];
        random.copy_from_slice(&bits[..10]);
        MessageId::from_uuid(Builder::from_unix_timestamp_millis(milliseconds, &random).into_uuid())
    }
}
