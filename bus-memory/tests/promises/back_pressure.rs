use bus::{Bus, BusState, ClockExt, Declaration, ErrorKind, Outgoing, PublishOutcome, Subscription};
use bus_memory::MemoryOptions;

use crate::rig::*;

async fn rig_of(capacity_count: usize) -> Rig {
    Rig::with(MemoryOptions { capacity_count, ..MemoryOptions::default() }).await
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_holds_publishers_until_there_is_room() {
    let rig = rig_of(2).await;
    rig.publish(&["1", "2"]).await;
    assert!(matches!(rig.bus.state(), BusState::Degraded(_)), "{}", rig.bus.state());
    let receiver = rig.receiver().await;
    let consume = async {
        rig.sleep(SECOND).await;
        let delivery = rig.take_one(&receiver).await;
        settled(&receiver, delivery.ack()).await;
        rig.seams.clock.now()
    };
    let publish = async {
        rig.publish(&["3"]).await;
        rig.seams.clock.now()
    };
    let (settled_at, accepted_at) = tokio::join!(consume, publish);
    assert!(accepted_at >= settled_at);
    assert_eq!(bodies(&rig.poll(&receiver).await), ["2", "3"]);
}

#[tokio::test(start_paused = true)]
async fn bytes_count_as_well() {
    let rig = Rig::with(MemoryOptions { capacity_bytes: 10, ..MemoryOptions::default() }).await;
    rig.publish(&["0123456789"]).await;
    assert!(rig.seams.clock.timeout(SECOND, rig.publish(&["x"])).await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_batch_larger_than_the_queue_is_accepted() {
    let rig = rig_of(2).await;
    rig.publish(&["1", "2", "3", "4", "5"]).await;
    assert_eq!(rig.ready_count(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_publish_leaves_nothing_and_holds_nobody() {
    let rig = rig_of(1).await;
    rig.publish(&["1"]).await;
    assert!(rig.seams.clock.timeout(SECOND, rig.publish(&["cancelled"])).await.is_none());
    let receiver = rig.receiver().await;
    let first = rig.take(&receiver, 10).await;
    ack_all(&receiver, first).await;
    rig.publish(&["2"]).await;
    assert_eq!(bodies(&rig.poll(&receiver).await), ["2"]);
}

#[tokio::test(start_paused = true)]
async fn a_waiting_publisher_that_leaves_makes_way_for_the_next() {
    let rig = rig_of(1).await;
    rig.publish(&["1"]).await;
    let receiver = rig.receiver().await;
    let leaves = rig.seams.clock.timeout(SECOND, rig.publish(&["cancelled"]));
    let stays = rig.publish(&["2"]);
    let consume = async {
        rig.sleep(2 * SECOND).await;
        let first = rig.take(&receiver, 10).await;
        ack_all(&receiver, first).await;
    };
    tokio::join!(leaves, stays, consume);
    assert_eq!(bodies(&rig.poll(&receiver).await), ["2"]);
}

#[tokio::test(start_paused = true)]
async fn publishers_are_admitted_in_the_order_they_came() {
    let rig = rig_of(1).await;
    rig.publish(&["0"]).await;
    let receiver = rig.receiver().await;
    let consume = async {
        let mut seen = Vec::new();
        while seen.len() < 4 {
            rig.sleep(SECOND).await;
            let batch = rig.take(&receiver, 10).await;
            seen.extend(bodies(&batch));
            ack_all(&receiver, batch).await;
        }
        seen
    };
    let (seen, ..) = tokio::join!(consume, rig.publish(&["1"]), rig.publish(&["2"]), rig.publish(&["3"]));
    assert_eq!(seen, ["0", "1", "2", "3"]);
}

#[tokio::test(start_paused = true)]
async fn closing_sends_waiting_publishers_away() {
    let rig = rig_of(1).await;
    rig.publish(&["1"]).await;
    let close = async {
        rig.sleep(SECOND).await;
        rig.bus.close(SECOND).await.expect("closed");
    };
    let waiting = || rig.bus.publish(vec![rig.outgoing("2")]);
    let (first, second, ()) = tokio::join!(waiting(), waiting(), close);
    for outcome in first.iter().chain(&second) {
        assert!(matches!(outcome, PublishOutcome::Refused(error) if error.kind() == ErrorKind::Closed), "{outcome:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_over_two_queues_waits_for_both_and_takes_both_or_none() {
    let rig = rig_of(1).await;
    rig.bus.declare(&[Declaration::of(destination("events"))]).await.expect("declared");
    rig.publish(&["1"]).await;
    let events = Subscription::to(destination("events"));
    let both = vec![Outgoing::new(destination("events"), rig.message("event")), rig.outgoing("2")];
    assert!(rig.seams.clock.timeout(SECOND, rig.bus.publish(both)).await.is_none());
    assert_eq!(rig.bus.depth_now(&events).expect("declared").ready_count, 0);
    accepted(&rig.bus.publish(vec![Outgoing::new(destination("events"), rig.message("other"))]).await);
}

#[tokio::test(start_paused = true)]
async fn a_purge_gives_the_room_back() {
    let rig = rig_of(3).await;
    let receiver = rig.receiver().await;
    rig.publish(&["1"]).await;
    let held = rig.take_one(&receiver).await;
    rig.publish_one(rig.outgoing("2").delayed(SECOND)).await;
    rig.publish(&["3"]).await;
    assert!(matches!(rig.bus.state(), BusState::Degraded(_)), "{}", rig.bus.state());
    let purge = async {
        rig.sleep(SECOND / 2).await;
        rig.bus.purge(&Subscription::to(orders())).await.expect("declared");
    };
    tokio::join!(rig.publish(&["4"]), purge);
    settled(&receiver, held.ack()).await;
    rig.publish(&["5", "6"]).await;
    assert_eq!(bodies(&rig.poll(&receiver).await), ["4", "5", "6"], "the room of three, and no more");
    assert!(matches!(rig.bus.state(), BusState::Degraded(_)), "{}", rig.bus.state());
}
