//! Whatever becomes of deliveries, the count of those in flight comes right again.

use std::time::Duration;

use bus::{ClockExt, ExtendOutcome, ReceiverExt, SettleOutcome};

use crate::rig::Rig;

const LEASE: Duration = Duration::from_secs(30);

#[tokio::test(start_paused = true)]
async fn settled_deliveries_are_not_in_flight() {
    let rig = Rig::new().await;
    rig.publish(&["a", "b", "c", "d"]).await;
    let receiver = rig.receiver().await;
    let mut deliveries = rig.take(&receiver, 4).await.into_iter();
    assert_eq!(rig.in_flight(), 4);
    let mut next = || deliveries.next().expect("four were taken");
    let batch = vec![next().ack(), next().nack(Duration::from_secs(5)), next().reject("bad")];
    receiver.settle(batch).await;
    assert_eq!(rig.in_flight(), 1);
    assert!(receiver.settle_one(next().ack()).await.is_settled());
    assert_eq!(rig.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn dropped_deliveries_are_not_in_flight_and_come_again() {
    let rig = Rig::new().await;
    rig.publish(&["a", "b", "c"]).await;
    let receiver = rig.receiver().await;
    let mut deliveries = rig.take(&receiver, 3).await;
    drop(deliveries.pop());
    drop(deliveries.pop().map(bus::Delivery::ack));
    assert_eq!(rig.in_flight(), 1);
    let (_, unsettled) = deliveries.pop().expect("three were taken").split();
    drop(unsettled);
    assert_eq!(rig.in_flight(), 0);
    let again = rig.take(&receiver, 3).await;
    assert_eq!((again.len(), rig.in_flight()), (3, 3));
}

#[tokio::test(start_paused = true)]
async fn released_deliveries_are_not_in_flight() {
    let rig = Rig::new().await;
    rig.publish(&["a", "b"]).await;
    let receiver = rig.receiver().await;
    let unstarted = rig.take(&receiver, 2).await.into_iter().map(|delivery| delivery.split().1).collect();
    receiver.release(unstarted).await;
    assert_eq!(rig.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_lost_lease_ends_once_whoever_tells_of_it() {
    let rig = Rig::new().await;
    rig.publish(&["a", "b", "c"]).await;
    let receiver = rig.receiver().await;
    let mut deliveries = rig.take(&receiver, 3).await;
    let token = deliveries[2].token();
    rig.pass(LEASE).await;
    // First an extension, then a settlement, then the receiver tells of all three.
    assert!(matches!(receiver.extend(&[token], LEASE).await[..], [ExtendOutcome::LeaseLost]));
    assert_eq!((rig.in_flight(), rig.leases_lost()), (2, 1));
    let late = deliveries.remove(1).ack();
    assert!(matches!(receiver.settle_one(late).await, SettleOutcome::LeaseLost));
    assert_eq!((rig.in_flight(), rig.leases_lost()), (1, 2));
    assert_eq!(receiver.lost().await.len(), 3);
    assert_eq!((rig.in_flight(), rig.leases_lost()), (0, 3));
    // And then they are settled too late, or dropped.
    let late = deliveries.remove(0).ack();
    assert!(matches!(receiver.settle_one(late).await, SettleOutcome::LeaseLost));
    drop(deliveries);
    assert_eq!((rig.in_flight(), rig.leases_lost()), (0, 3));
}

#[tokio::test(start_paused = true)]
async fn what_a_closed_or_dropped_receiver_had_is_not_in_flight() {
    let rig = Rig::new().await;
    rig.publish(&["a", "b", "c"]).await;
    let (closed, dropped) = (rig.receiver().await, rig.receiver().await);
    let of_closed = rig.take(&closed, 2).await;
    let of_dropped = rig.take(&dropped, 1).await;
    assert_eq!(rig.in_flight(), 3);
    closed.close().await;
    assert_eq!(rig.in_flight(), 1);
    drop(dropped);
    assert_eq!(rig.in_flight(), 0);
    drop((of_closed, of_dropped));
    assert_eq!((rig.in_flight(), rig.leases_lost()), (0, 0), "closing is no loss");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_in_flight_on_a_closed_bus() {
    let rig = Rig::new().await;
    rig.publish(&["a", "b"]).await;
    let (one, other) = (rig.receiver().await, rig.receiver().await);
    let deliveries = (rig.take(&one, 1).await, rig.take(&other, 1).await);
    rig.bus.close(Duration::from_secs(1)).await.expect("nothing to flush");
    assert_eq!(rig.in_flight(), 0);
    drop(deliveries);
    assert_eq!(rig.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_receive_that_was_dropped_while_it_waited_took_nothing() {
    let rig = Rig::new().await;
    let receiver = rig.receiver().await;
    let mut into = Vec::new();
    assert!(rig.seams.clock.timeout(Duration::from_secs(1), receiver.receive(10, &mut into)).await.is_none());
    assert_eq!((into.len(), rig.in_flight()), (0, 0));
    assert_eq!(rig.value("messaging_client_consumed_messages_total"), 0);
}
