use bus::{ErrorKind, SettleOutcome, SubscribeOptions, Subscription, dead_letter};
use bus_memory::MemoryOptions;

use crate::rig::*;

fn graves() -> Subscription {
    Subscription::to(destination("orders-dlq"))
}

#[tokio::test(start_paused = true)]
async fn dead_letters_of_dead_letters_stay_where_they_are() {
    let rig = Rig::new().await;
    let receiver = rig.receiver().await;
    rig.publish(&["1"]).await;
    let delivery = rig.take_one(&receiver).await;
    settled(&receiver, delivery.reject("first")).await;
    let dead = rig.receiver_of(&graves(), SubscribeOptions::default()).await;
    let delivery = rig.take_one(&dead).await;
    let outcomes = dead.settle(vec![delivery.reject("again")]).await;
    assert!(
        matches!(&outcomes[..], [SettleOutcome::Failed(error)] if error.kind() == ErrorKind::Unsupported),
        "{outcomes:?}"
    );
    assert!(rig.poll(&dead).await.is_empty(), "no hot loop: it comes again when its lease ends");
    assert_eq!(rig.take_one(&dead).await.message().headers().text(dead_letter::REASON), Some("first"));
}

#[tokio::test(start_paused = true)]
async fn full_dead_letters_take_what_fits_and_lose_nothing() {
    let rig = Rig::with(MemoryOptions { capacity_count: 3, ..MemoryOptions::default() }).await;
    let receiver = rig.receiver().await;
    for batch in [["1", "2"], ["3", "4"]] {
        rig.publish(&batch).await;
        let rejects = rig.take(&receiver, 2).await.into_iter().map(|delivery| delivery.reject("bad")).collect();
        let outcomes = receiver.settle(rejects).await;
        let settled_count = outcomes.iter().filter(|outcome| outcome.is_settled()).count();
        assert_eq!(settled_count, if batch[0] == "1" { 2 } else { 1 }, "{outcomes:?}");
    }
    let dead = rig.receiver_of(&graves(), SubscribeOptions::default()).await;
    let found = rig.take(&dead, 10).await;
    assert_eq!(bodies(&found), ["1", "2", "3"]);
    ack_all(&dead, found).await;
    let again = rig.take_one(&receiver).await;
    assert_eq!((body(&again), again.receive_count()), ("4".to_owned(), Some(2)));
    settled(&receiver, again.reject("bad")).await;
}
