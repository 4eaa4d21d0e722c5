use bus::{
    Bus, BusState, ClockExt, Declaration, ErrorKind, Group, PublishOutcome, SettleOutcome, SubscribeOptions,
    Subscription,
};

use crate::rig::*;

#[tokio::test(start_paused = true)]
async fn declaring_again_adds_and_forgets_nothing() {
    let rig = Rig::new().await;
    rig.publish(&["1"]).await;
    for groups in [vec![], vec![audit()], vec![]] {
        rig.bus.declare(&[Declaration { destination: orders(), groups }]).await.expect("declared");
    }
    rig.publish(&["2"]).await;
    let receiver = rig.receiver_of(&Subscription::grouped(orders(), audit()), SubscribeOptions::default()).await;
    assert_eq!(bodies(&rig.poll(&receiver).await), ["2"], "a new group begins with what comes next");
    assert_eq!(rig.ready_count(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_name_is_a_destination_or_a_group_but_not_both() {
    let rig = Rig::new().await;
    rig.bus.declare(&[Declaration::of(destination("orders.audit"))]).await.expect("declared");
    let group = Group::new("audit").expect("a legal name");
    let error = rig.bus.declare(&[Declaration { destination: orders(), groups: vec![group] }]).await;
    assert_eq!(error.expect_err("ambiguous").kind(), ErrorKind::Conflict);
}

#[tokio::test(start_paused = true)]
async fn stopping_ends_a_blocked_receive_and_settling_goes_on() {
    let rig = Rig::new().await;
    let receiver = rig.receiver().await;
    rig.publish(&["1"]).await;
    let held = rig.take_one(&receiver).await;
    let stop = async {
        rig.sleep(SECOND).await;
        receiver.stop();
        receiver.stop();
    };
    let mut into = Vec::new();
    let (ended, ()) = tokio::join!(receiver.receive(10, &mut into), stop);
    assert_eq!(ended.expect_err("stopped").kind(), ErrorKind::Closed);
    settled(&receiver, held.ack()).await;
}

#[tokio::test(start_paused = true)]
async fn a_closed_receiver_gives_back_and_reports_what_it_had() {
    let rig = Rig::new().await;
    let (one, two) = (rig.receiver().await, rig.receiver().await);
    rig.publish(&["1", "2"]).await;
    let batch = rig.take(&one, 10).await;
    one.close().await;
    one.close().await;
    assert_eq!(one.lost().await, batch.iter().map(bus::Delivery::token).collect::<Vec<_>>());
    let outcomes = one.settle(batch.into_iter().map(bus::Delivery::ack).collect()).await;
    assert!(matches!(outcomes[..], [SettleOutcome::LeaseLost, SettleOutcome::LeaseLost]), "{outcomes:?}");
    assert_eq!(bodies(&rig.poll(&two).await), ["1", "2"]);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_receiver_gives_back_what_it_had() {
    let rig = Rig::new().await;
    let (one, two) = (rig.receiver().await, rig.receiver().await);
    rig.publish(&["1"]).await;
    let held = rig.take_one(&one).await;
    drop(one);
    assert_eq!(bodies(&rig.poll(&two).await), ["1"]);
    drop(held);
}

#[tokio::test(start_paused = true)]
async fn a_closed_bus_answers_closed() {
    let rig = Rig::new().await;
    let receiver = rig.receiver().await;
    let close = async {
        rig.sleep(SECOND).await;
        rig.bus.close(SECOND).await.expect("closed");
    };
    let mut into = Vec::new();
    let (ended, ()) = tokio::join!(receiver.receive(10, &mut into), close);
    assert_eq!(ended.expect_err("closed").kind(), ErrorKind::Closed);
    rig.bus.close(SECOND).await.expect("closing twice is no error");
    assert!(matches!(rig.bus.state(), BusState::Down(_)));
    let outcomes = rig.bus.publish(vec![rig.outgoing("1")]).await;
    assert!(
        matches!(&outcomes[..], [PublishOutcome::Refused(error)] if error.kind() == ErrorKind::Closed),
        "{outcomes:?}"
    );
    let error = rig.bus.declare(&[Declaration::of(orders())]).await.expect_err("closed");
    assert_eq!(error.kind(), ErrorKind::Closed);
    let error = rig.bus.subscribe(&Subscription::to(orders()), SubscribeOptions::default()).await.err();
    assert_eq!(error.expect("closed").kind(), ErrorKind::Closed);
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
