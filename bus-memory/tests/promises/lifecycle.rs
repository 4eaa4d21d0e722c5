use bus::{Bus, BusState, ClockExt, Declaration, SubscribeOptions, Subscription};

use crate::rig::*;

#[tokio::test(start_paused = true)]
async fn a_new_group_begins_with_what_comes_next() {
    let rig = Rig::new().await;
    rig.publish(&["1"]).await;
    rig.bus.declare(&[Declaration { destination: orders(), groups: vec![audit()] }]).await.expect("declared");
    rig.publish(&["2"]).await;
    let receiver = rig.receiver_of(&Subscription::grouped(orders(), audit()), SubscribeOptions::default()).await;
    assert_eq!(bodies(&rig.poll(&receiver).await), ["2"]);
}

#[tokio::test(start_paused = true)]
async fn a_closed_receiver_reports_what_it_had_as_lost() {
    let rig = Rig::new().await;
    let receiver = rig.receiver().await;
    rig.publish(&["1", "2"]).await;
    let held = rig.take(&receiver, 10).await;
    receiver.close().await;
    assert_eq!(receiver.lost().await, held.iter().map(bus::Delivery::token).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_volatile_bus_never_reports_a_failed_journal() {
    let rig = Rig::new().await;
    assert_eq!(rig.bus.state(), BusState::Up);
    assert!(rig.seams.clock.timeout(1_000 * SECOND, rig.bus.failed()).await.is_none());
}

/// On one thread and without waiting for anything, which would give others their turn.
#[tokio::test(start_paused = true)]
async fn a_busy_loop_leaves_others_their_turn() {
    let rig = Rig::new().await;
    let receiver = rig.receiver().await;
    rig.publish(&["1"]).await;
    let busy = async {
        loop {
            let delivery = rig.take_one(&receiver).await;
            settled(&receiver, delivery.nack(std::time::Duration::ZERO)).await;
        }
    };
    let other = async { tokio::task::yield_now().await };
    tokio::select! {
        biased;
        () = busy => {}
        () = other => {}
    }
}
