use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use bus::registry::Backend;
use bus::{Bus, BusUrl, Result, Seams};

use super::broker::Broker;
use super::bus::ToyBus;
use super::error::invalid;

/// Largest message, by [`bus::Message::size_bytes`].
pub(crate) const MESSAGE_BYTES_MAX: usize = 256 * 1024;
/// Longest delay of a publish or a nack.
pub(crate) const DELAY_MAX: Duration = Duration::from_secs(15 * 60);

/// What an owner may choose.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ToyOptions {
    /// How long a delivery is a receiver's, unless it asks for another time.
    pub(crate) lease: Duration,
}

impl Default for ToyOptions {
    /// 30 s: twice as long as most handlers are allowed to take.
    fn default() -> Self {
        Self { lease: Duration::from_secs(30) }
    }
}

/// Opens `toy://?lease_seconds=30`; all buses it opens are connections to one broker.
#[derive(Default)]
pub(crate) struct ToyBackend(pub(crate) OnceLock<Arc<Broker>>);

#[async_trait]
impl Backend for ToyBackend {
    fn schemes(&self) -> &'static [&'static str] {
        &["toy"]
    }

    async fn open(&self, url: &BusUrl, seams: &Seams) -> Result<Arc<dyn Bus>> {
        url.only_options(&["lease_seconds"])?;
        let mut options = ToyOptions::default();
        if let Some(text) = url.option("lease_seconds") {
            let seconds = text.parse().ok().filter(|seconds| *seconds > 0);
            let expected = || invalid("bus url", format!("lease_seconds is `{text}`; use a whole number above 0"));
            options.lease = Duration::from_secs(seconds.ok_or_else(expected)?);
        }
        let broker = self.0.get_or_init(|| Arc::new(Broker::new(Arc::clone(&seams.clock))));
        Ok(Arc::new(ToyBus::connect(Arc::clone(broker), seams.clone(), options)))
    }
}
