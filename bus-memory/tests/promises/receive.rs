use bus::{Bus, ClockExt, Declaration, SubscribeOptions, Subscription};

use crate::rig::*;

#[tokio::test(start_paused = true)]
async fn a_waiting_receiver_wakes_when_something_comes() {
    let rig = Rig::new().await;
    let receiver = rig.receiver().await;
    let publish = async {
        rig.sleep(SECOND).await;
        rig.publish(&["1"]).await;
    };
    let (batch, ()) = tokio::join!(rig.take(&receiver, 10), publish);
    assert_eq!(bodies(&batch), ["1"]);
}

#[tokio::test(start_paused = true)]
async fn every_group_gets_every_message() {
    let rig = Rig::new().await;
    rig.bus.declare(&[Declaration { destination: orders(), groups: vec![audit()] }]).await.expect("declared");
    rig.publish(&["1", "2"]).await;
    for subscription in [Subscription::to(orders()), Subscription::grouped(orders(), audit())] {
        let receiver = rig.receiver_of(&subscription, SubscribeOptions::default()).await;
        let batch = rig.poll(&receiver).await;
        assert_eq!(bodies(&batch), ["1", "2"]);
        ack_all(&receiver, batch).await;
    }
}

#[tokio::test(start_paused = true)]
async fn competing_receivers_share() {
    let rig = Rig::new().await;
    let (one, two) = (rig.receiver().await, rig.receiver().await);
    rig.publish(&["1", "2", "3"]).await;
    let first = rig.take(&one, 2).await;
    let second = rig.take(&two, 2).await;
    assert_eq!((bodies(&first), bodies(&second)), (vec!["1".into(), "2".into()], vec!["3".into()]));
}

#[tokio::test(start_paused = true)]
async fn prefetch_bounds_what_a_receiver_holds() {
    let rig = Rig::new().await;
    let options = SubscribeOptions { prefetch_count_max: 2, lease: None };
    let receiver = rig.receiver_of(&Subscription::to(orders()), options).await;
    rig.publish(&["1", "2", "3"]).await;
    let mut held = rig.take(&receiver, 10).await;
    assert_eq!(bodies(&held), ["1", "2"]);
    let settle = async {
        rig.sleep(SECOND).await;
        settled(&receiver, held.remove(0).ack()).await;
    };
    let (next, ()) = tokio::join!(rig.take(&receiver, 10), settle);
    assert_eq!(bodies(&next), ["3"], "settling one makes room for one");
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_receive_loses_nothing() {
    let rig = Rig::new().await;
    let (one, two) = (rig.receiver().await, rig.receiver().await);
    let mut into = Vec::new();
    assert!(rig.seams.clock.timeout(SECOND, one.receive(10, &mut into)).await.is_none());
    let publish = async {
        rig.sleep(SECOND).await;
        rig.publish(&["1"]).await;
    };
    let (batch, ()) = tokio::join!(rig.take(&two, 10), publish);
    assert_eq!(bodies(&batch), ["1"], "the wake-up is not spent on the one that left");
    assert!(into.is_empty());
}

#[tokio::test(start_paused = true)]
async fn waiting_for_nothing_answers_at_once() {
    let rig = Rig::new().await;
    let receiver = rig.receiver().await;
    assert!(rig.take(&receiver, 0).await.is_empty());
}
