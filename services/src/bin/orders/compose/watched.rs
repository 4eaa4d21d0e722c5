//! A side with its page: what it does is counted and traced.

use std::sync::Arc;

use bus::layer::{LayerExt, Tracing};
use bus::{Bus, Seams};
use services::metrics::Page;

use crate::failure::Failure;
use crate::settings::Settings;

use super::agreement::agreed;

/// What one side is given of the watch, while it is put together.
pub(super) struct Watched<'a> {
    pub(super) page: Page,
    settings: &'a Settings,
    seams: &'a Seams,
}

impl<'a> Watched<'a> {
    pub(super) fn new(side: &'static str, settings: &'a Settings, seams: &'a Seams) -> Self {
        Self { page: Page::new(side, settings.bus.scheme(), seams), settings, seams }
    }

    /// A bus as this side uses it. Innermost the counting, so that it sees what the broker sees; then what the
    /// bus does not do itself; outermost the traces, which cover all of it.
    pub(super) fn bus(&self, bus: Arc<dyn Bus>) -> Result<Arc<dyn Bus>, Failure> {
        Ok(agreed(self.settings, self.page.metered(bus), self.seams)?.layer(Tracing::new(self.seams)))
    }
}
