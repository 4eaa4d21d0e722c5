use std::time::Duration;

use bus::capability::Order;
use bus_memory::MemoryOptions;

use crate::rig::*;

#[tokio::test(start_paused = true)]
async fn the_holder_of_a_key_may_prefetch_it_in_order() {
    let rig = Rig::new().await;
    let receiver = rig.receiver().await;
    rig.publish_keyed(&["a1", "a2", "a3"]).await;
    let _first = rig.take_one(&receiver).await;
    assert_eq!(bodies(&rig.take(&receiver, 10).await), ["a2", "a3"]);
}

#[tokio::test(start_paused = true)]
async fn followers_in_hand_come_back_behind_their_head() {
    let rig = Rig::new().await;
    let (one, two) = (rig.receiver().await, rig.receiver().await);
    rig.publish_keyed(&["a1", "a2", "a3"]).await;
    let mut batch = rig.take(&one, 2).await;
    settled(&one, batch.remove(0).nack(Duration::ZERO)).await;
    for receiver in [&one, &two] {
        assert!(rig.poll(receiver).await.is_empty(), "a2 is still out");
    }
    one.release(batch.into_iter().map(|delivery| delivery.split().1).collect()).await;
    assert_eq!(bodies(&rig.poll(&two).await), ["a1", "a2", "a3"]);
}

#[tokio::test(start_paused = true)]
async fn two_messages_away_come_back_in_order_whichever_is_due_first() {
    let rig = Rig::new().await;
    let receiver = rig.receiver().await;
    rig.publish_keyed(&["a1", "a2", "a3"]).await;
    let mut batch = rig.take(&receiver, 2).await;
    let settlements = vec![batch.remove(0).nack(10 * SECOND), batch.remove(0).nack(5 * SECOND)];
    assert!(receiver.settle(settlements).await.iter().all(bus::SettleOutcome::is_settled));
    rig.sleep(7 * SECOND).await;
    assert!(rig.poll(&receiver).await.is_empty());
    assert_eq!(bodies(&rig.take(&receiver, 10).await), ["a1", "a2", "a3"]);
}

#[tokio::test(start_paused = true)]
async fn a_key_moves_to_an_idle_receiver_once_settled() {
    let rig = Rig::new().await;
    let (one, two) = (rig.receiver().await, rig.receiver().await);
    rig.publish_keyed(&["a1", "a2"]).await;
    let first = rig.take_one(&one).await;
    let settle = async {
        rig.sleep(SECOND).await;
        settled(&one, first.ack()).await;
    };
    let (batch, ()) = tokio::join!(rig.take(&two, 10), settle);
    assert_eq!(bodies(&batch), ["a2"], "the waiting receiver is woken");
}

#[tokio::test(start_paused = true)]
async fn without_order_receivers_compete_for_every_message() {
    let rig = Rig::with(MemoryOptions { order: Order::None, ..MemoryOptions::default() }).await;
    let (one, two) = (rig.receiver().await, rig.receiver().await);
    rig.publish_keyed(&["a1", "a2", "a3"]).await;
    let _first = rig.take_one(&one).await;
    assert_eq!(bodies(&rig.take(&two, 10).await), ["a2", "a3"]);
}
