//! Time that passes quickly, for waits that are too long for a test.

use std::time::Duration;

use async_trait::async_trait;
use bus::{Clock, Moment, Seams};
use jiff::Timestamp;

/// So many seconds pass in one of the machine's.
const QUICKER: u32 = 20;

#[derive(Debug)]
struct Quick(Seams);

/// The machine's, but for the time.
pub(crate) fn seams() -> Seams {
    let machine = Seams::system();
    Seams { clock: std::sync::Arc::new(Quick(machine.clone())), ..machine }
}

#[async_trait]
impl Clock for Quick {
    fn wall(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH.saturating_add(self.now().since_origin()).expect("near 1970")
    }

    fn now(&self) -> Moment {
        Moment::from_origin(self.0.clock.now().since_origin() * QUICKER)
    }

    async fn sleep_until(&self, deadline: Moment) {
        let waited = deadline.since_origin() / QUICKER + Duration::from_nanos(1);
        self.0.clock.sleep_until(Moment::from_origin(waited)).await;
    }
}
