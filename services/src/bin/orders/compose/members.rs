//! Connections for the members of the consumer: one each, where connections are what competes.

use std::sync::Arc;

use bus::capability::Reach;
use bus::{Bus, Seams};
use services::store::StoreId;

use crate::failure::Failure;
use crate::settings::Settings;

use super::lag::Lags;
use super::open_bus;
use super::watched::Watched;

/// A bus for each member but the first, which has `first`. A bus that is this process is one for all:
/// its receivers compete.
pub(super) async fn connect(
    settings: &Settings,
    (first, watched, lags): (&Arc<dyn Bus>, &Watched<'_>, &Lags),
    store: Option<StoreId>,
    seams: &Seams,
) -> Result<Vec<Arc<dyn Bus>>, Failure> {
    let mut further = Vec::new();
    for _ in 1..settings.members {
        further.push(match first.capability().reach {
            Reach::Process => Arc::clone(first),
            Reach::Network => {
                let open = open_bus(&settings.bus, &settings.data.join("bus"), store, seams).await?;
                lags.add(open.lag);
                watched.bus(open.bus)?
            }
        });
    }
    Ok(further)
}
