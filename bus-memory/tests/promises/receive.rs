use std::time::Duration;

use bus::{ClockExt, Delivery, Depth, SubscribeOptions, Subscription};

use crate::rig::*;

#[tokio::test(start_paused = true)]
async fn a_cancelled_receive_does_not_take_the_wake_up_with_it() {
    let rig = Rig::new().await;
    let (one, two) = (rig.receiver().await, rig.receiver().await);
    let mut into = Vec::new();
    assert!(rig.seams.clock.timeout(SECOND, one.receive(10, &mut into)).await.is_none());
    let publish = async {
        rig.sleep(SECOND).await;
        rig.publish(&["1"]).await;
    };
    let (batch, ()) = tokio::join!(rig.take(&two, 10), publish);
    assert_eq!(bodies(&batch), ["1"]);
    assert!(into.is_empty());
}

#[tokio::test(start_paused = true)]
async fn waiting_for_nothing_answers_at_once() {
    let rig = Rig::new().await;
    let receiver = rig.receiver().await;
    assert!(rig.take(&receiver, 0).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_is_given_back_keeps_its_place() {
    let rig = Rig::new().await;
    let (one, two) = (rig.receiver().await, rig.receiver().await);
    rig.publish(&["1", "2", "3", "4"]).await;
    let mut batch = rig.take(&one, 3).await;
    settled(&one, batch.remove(2).nack(Duration::ZERO)).await;
    drop(batch.remove(1));
    one.release(vec![batch.remove(0).split().1]).await;
    assert_eq!(bodies(&rig.take(&two, 10).await), ["1", "2", "3", "4"]);
}

#[tokio::test(start_paused = true)]
async fn a_nack_delay_wakes_a_receiver_that_waits_already() {
    let rig = Rig::new().await;
    let (one, two) = (rig.receiver().await, rig.receiver().await);
    rig.publish(&["1"]).await;
    let first = rig.take_one(&one).await;
    let nack = async {
        rig.sleep(SECOND).await;
        settled(&one, first.nack(SECOND)).await;
    };
    let (batch, ()) = tokio::join!(rig.take(&two, 10), nack);
    assert_eq!(bodies(&batch), ["1"]);
    assert_eq!(rig.seams.clock.now().since_origin(), 2 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_delivery_wakes_a_receiver_that_waits() {
    let rig = Rig::new().await;
    let (one, two) = (rig.receiver().await, rig.receiver().await);
    rig.publish(&["1"]).await;
    let delivery = rig.take_one(&one).await;
    let let_go = async {
        rig.sleep(SECOND).await;
        drop(delivery.split());
    };
    let (batch, ()) = tokio::join!(rig.take(&two, 10), let_go);
    assert_eq!(batch[0].receive_count(), Some(2));
    assert_eq!(rig.seams.clock.now().since_origin(), SECOND, "no lease had to end for it");
}

#[tokio::test(start_paused = true)]
async fn the_depth_tells_where_messages_are() {
    let rig = Rig::new().await;
    let receiver = rig.receiver_of(&Subscription::to(orders()), SubscribeOptions::default()).await;
    rig.publish(&["1", "2", "3", "4"]).await;
    rig.publish_one(rig.outgoing("5").delayed(SECOND)).await;
    let mut batch: Vec<Delivery> = rig.take(&receiver, 3).await;
    settled(&receiver, batch.remove(0).nack(SECOND)).await;
    let depth = rig.bus.depth_now(&Subscription::to(orders())).expect("declared");
    assert_eq!(depth, Depth { ready_count: 1, delayed_count: 2, in_flight_count: 2 });
    rig.sleep(SECOND).await;
    let depth = rig.bus.depth_now(&Subscription::to(orders())).expect("declared");
    assert_eq!(depth, Depth { ready_count: 3, delayed_count: 0, in_flight_count: 2 });
}
