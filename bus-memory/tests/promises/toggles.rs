use bus::Bus;
use bus::capability::{Counting, Durability, LeaseTerms, Order};
use bus_memory::{MemoryBus, MemoryOptions};

use crate::rig::*;

#[tokio::test(start_paused = true)]
async fn every_toggle_shows_in_the_capability() {
    let all_off = MemoryOptions {
        message_bytes_max: None,
        order: Order::None,
        delay_max: None,
        nack_delay_max: None,
        lease: LeaseTerms { duration: None, extendable: false, total_max: None },
        receive_count: false,
        release_uncounted: false,
        dead_letters: false,
        groups: false,
        publish_atomic: false,
        settle_confirmed: false,
        depth: Counting::None,
        purge: false,
        ..MemoryOptions::default()
    };
    let bus = MemoryBus::new(seams(), all_off.clone());
    let capability = bus.capability();
    assert_eq!(capability.durability, Durability::Volatile);
    assert_eq!((capability.order, capability.lease), (all_off.order, all_off.lease));
    assert_eq!((capability.delay_max, capability.nack_delay_max, capability.message_bytes_max), (None, None, None));
    assert!(!capability.receive_count && !capability.dead_letters && !capability.groups);
    assert!(!capability.publish_atomic && !capability.settle_confirmed && !capability.purge);
    assert!(!capability.release_uncounted);
    assert_eq!(capability.depth, Counting::None);
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_not_atomic_waits_message_by_message() {
    let options = MemoryOptions { publish_atomic: false, capacity_count: 2, ..MemoryOptions::default() };
    let rig = Rig::with(options).await;
    let receiver = rig.receiver().await;
    let consume = async {
        rig.sleep(SECOND).await;
        assert_eq!(rig.ready_count(), 2);
        let batch = rig.take(&receiver, 10).await;
        ack_all(&receiver, batch).await;
    };
    tokio::join!(rig.publish(&["1", "2", "3"]), consume);
    assert_eq!(bodies(&rig.poll(&receiver).await), ["3"]);
}
