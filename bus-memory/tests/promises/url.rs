use std::sync::Arc;

use bus::capability::{Counting, Durability, Order};
use bus::{Bus, BusUrl, Registry};
use bus_memory::MemoryBackend;

use crate::rig::*;

async fn open(url: &str) -> bus::Result<Arc<dyn Bus>> {
    Registry::new().with(MemoryBackend).open(&BusUrl::parse(url)?, &seams()).await
}

#[tokio::test(start_paused = true)]
async fn the_url_sets_every_option() {
    let off = "memory://?capacity=1&capacity_bytes=1&message_bytes_max=none&lease=none&lease_total_max=none\
               &delay_max=500ms&nack_delay_max=2h&order=none&extendable=off&receive_count=off&dead_letters=off\
               &groups=off&publish_atomic=off&settle_confirmed=off&release_uncounted=off&depth=none&purge=off";
    let bus = open(off).await.expect("legal options");
    let capability = bus.capability();
    assert_eq!((capability.durability, capability.order), (Durability::Volatile, Order::None));
    assert_eq!((capability.delay_max, capability.nack_delay_max), (Some(SECOND / 2), Some(7_200 * SECOND)));
    assert_eq!(
        (capability.message_bytes_max, capability.lease.duration, capability.lease.total_max),
        (None, None, None)
    );
    assert!(!capability.lease.extendable && !capability.receive_count && !capability.dead_letters);
    assert!(!capability.groups && !capability.publish_atomic && !capability.settle_confirmed);
    assert_eq!((capability.release_uncounted, capability.depth, capability.purge), (false, Counting::None, false));
}

#[tokio::test(start_paused = true)]
async fn a_bad_url_says_what_to_write() {
    for (url, hint) in [
        ("memory://?lese=30s", "did you mean `lease`?"),
        ("memory://?lease=30", "30s"),
        ("memory://?lease=99999999999999999999d", "30s"),
        ("memory://?capacity=0", "a whole number above 0"),
        ("memory://?order=fifo", "`key` or `none`"),
        ("memory://?groups=yes", "`on` or `off`"),
        ("memory://host", "memory://?journal=DIR"),
        ("memory:///dir", "memory://?journal=DIR"),
    ] {
        let error = open(url).await.expect_err("refused").to_string();
        assert!(error.contains(hint), "{url}: {error}");
    }
}
