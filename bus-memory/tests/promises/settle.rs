use std::time::Duration;

use bus::Depth;
use bus::{Delivery, ErrorKind, SettleOutcome, SubscribeOptions, Subscription, Token};
use bus_memory::MemoryOptions;

use crate::rig::*;

#[tokio::test(start_paused = true)]
async fn an_acked_message_is_gone_for_good() {
    let rig = Rig::new().await;
    let receiver = rig.receiver().await;
    rig.publish(&["1", "2", "3"]).await;
    let mut batch = rig.take(&receiver, 10).await;
    let out_of_order = vec![batch.remove(2).ack(), batch.remove(0).ack(), batch.remove(0).ack()];
    assert!(receiver.settle(out_of_order).await.iter().all(SettleOutcome::is_settled));
    drop(receiver);
    let again = rig.receiver().await;
    assert!(rig.poll(&again).await.is_empty());
    assert_eq!(rig.bus.depth_now(&Subscription::to(orders())).expect("declared"), Depth::default());
}

#[tokio::test(start_paused = true)]
async fn a_nacked_message_returns_and_counts() {
    let rig = Rig::new().await;
    let receiver = rig.receiver().await;
    rig.publish(&["1", "2"]).await;
    let first = rig.take_one(&receiver).await;
    settled(&receiver, first.nack(Duration::ZERO)).await;
    let batch = rig.take(&receiver, 10).await;
    let seen: Vec<_> = batch.iter().map(|delivery| (body(delivery), delivery.receive_count())).collect();
    assert_eq!(seen, [("1".to_owned(), Some(2)), ("2".to_owned(), Some(1))]);
}

#[tokio::test(start_paused = true)]
async fn a_nack_with_a_delay_is_not_early() {
    let rig = Rig::new().await;
    let receiver = rig.receiver().await;
    rig.publish(&["1"]).await;
    let first = rig.take_one(&receiver).await;
    let begin = rig.seams.clock.now();
    settled(&receiver, first.nack(7 * SECOND)).await;
    assert!(rig.poll(&receiver).await.is_empty());
    let again = rig.take_one(&receiver).await;
    assert_eq!(rig.seams.clock.now().since(begin), 7 * SECOND);
    assert_eq!(again.receive_count(), Some(2));
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
async fn a_nack_delay_over_the_limit_fails_and_the_message_stays() {
    let rig = Rig::with(MemoryOptions { nack_delay_max: Some(SECOND), ..MemoryOptions::default() }).await;
    let receiver = rig.receiver().await;
    rig.publish(&["1"]).await;
    let first = rig.take_one(&receiver).await;
    let outcomes = receiver.settle(vec![first.nack(2 * SECOND)]).await;
    assert!(
        matches!(&outcomes[..], [SettleOutcome::Failed(error)] if error.kind() == ErrorKind::Unsupported),
        "{outcomes:?}"
    );
    assert!(rig.poll(&receiver).await.is_empty(), "still leased");
    let again = rig.take_one(&receiver).await;
    assert_eq!(again.receive_count(), Some(2), "comes again when the lease has ended");
}

#[tokio::test(start_paused = true)]
async fn a_dropped_delivery_returns_at_once() {
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
async fn a_decision_dropped_unsent_returns_the_message() {
    let rig = Rig::new().await;
    let receiver = rig.receiver().await;
    rig.publish(&["1"]).await;
    drop(rig.take_one(&receiver).await.ack());
    assert_eq!(rig.take_one(&receiver).await.receive_count(), Some(2));
}

#[tokio::test(start_paused = true)]
async fn released_deliveries_return_in_order_and_do_not_count() {
    let rig = Rig::new().await;
    let (one, two) = (rig.receiver().await, rig.receiver().await);
    rig.publish(&["1", "2", "3", "4"]).await;
    let batch = rig.take(&one, 3).await;
    one.release(batch.into_iter().rev().map(|delivery| delivery.split().1).collect()).await;
    let again = rig.take(&two, 10).await;
    assert_eq!(bodies(&again), ["1", "2", "3", "4"]);
    assert!(again.iter().all(|delivery| delivery.receive_count() == Some(1)));
}

#[tokio::test(start_paused = true)]
async fn a_receiver_settles_only_what_it_has() {
    let rig = Rig::new().await;
    let (one, two) = (rig.receiver().await, rig.receiver().await);
    rig.publish(&["1"]).await;
    let delivery = rig.take_one(&one).await;
    let token = delivery.token();
    let outcomes = two.settle(vec![delivery.ack()]).await;
    assert!(matches!(outcomes[..], [SettleOutcome::LeaseLost]), "{outcomes:?}");
    let stranger = Token { slot: token.slot + (1 << 32), epoch: token.epoch };
    let outcomes = one.extend(&[stranger], SECOND).await;
    assert!(matches!(outcomes[..], [bus::ExtendOutcome::LeaseLost]), "{outcomes:?}");
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
