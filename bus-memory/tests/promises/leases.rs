use std::time::Duration;

use bus::capability::LeaseTerms;
use bus::{ClockExt, ErrorKind, ExtendOutcome, Moment, SettleOutcome, SubscribeOptions, Subscription};
use bus_memory::MemoryOptions;

use crate::rig::*;

fn at(since_origin: Duration) -> Moment {
    Moment::from_origin(since_origin)
}

#[tokio::test(start_paused = true)]
async fn an_expired_lease_redelivers_while_the_first_handler_runs() {
    let rig = Rig::new().await;
    let (one, two) = (rig.receiver().await, rig.receiver().await);
    rig.publish(&["1"]).await;
    let first = rig.take_one(&one).await;
    assert_eq!(first.lease().deadline, Some(at(30 * SECOND)));
    let second = rig.take_one(&two).await;
    assert_eq!(rig.seams.clock.now(), at(30 * SECOND), "a blocked receive finds out by itself");
    assert_eq!(second.receive_count(), Some(2));
    let outcomes = one.settle(vec![first.ack()]).await;
    assert!(matches!(outcomes[..], [SettleOutcome::LeaseLost]), "{outcomes:?}");
    settled(&two, second.ack()).await;
}

#[tokio::test(start_paused = true)]
async fn a_late_settlement_is_too_late_even_if_nobody_noticed() {
    let rig = Rig::new().await;
    let receiver = rig.receiver().await;
    rig.publish(&["1"]).await;
    let first = rig.take_one(&receiver).await;
    rig.sleep(30 * SECOND).await;
    let outcomes = receiver.settle(vec![first.ack()]).await;
    assert!(matches!(outcomes[..], [SettleOutcome::LeaseLost]), "{outcomes:?}");
    assert_eq!(rig.ready_count(), 1);
}

#[tokio::test(start_paused = true)]
async fn lost_reports_expired_leases_without_anybody_receiving() {
    let rig = Rig::new().await;
    let receiver = rig.receiver().await;
    let hand_out = async {
        rig.sleep(SECOND).await;
        rig.publish(&["1", "2"]).await;
        let mut batch = rig.take(&receiver, 2).await;
        settled(&receiver, batch.remove(0).ack()).await;
        batch.remove(0)
    };
    let (lost, held) = tokio::join!(receiver.lost(), hand_out);
    assert_eq!(rig.seams.clock.now(), at(31 * SECOND));
    assert_eq!(lost, [held.token()]);
    assert!(rig.seams.clock.timeout(60 * SECOND, receiver.lost()).await.is_none(), "each is told once");
}

#[tokio::test(start_paused = true)]
async fn a_dropped_lost_call_loses_nothing() {
    let rig = Rig::new().await;
    let receiver = rig.receiver().await;
    rig.publish(&["1"]).await;
    let held = rig.take_one(&receiver).await;
    assert!(rig.seams.clock.timeout(SECOND, receiver.lost()).await.is_none());
    rig.sleep(30 * SECOND).await;
    assert_eq!(receiver.lost().await, [held.token()]);
}

#[tokio::test(start_paused = true)]
async fn an_extended_lease_ends_later() {
    let rig = Rig::new().await;
    let receiver = rig.receiver().await;
    rig.publish(&["1", "2"]).await;
    let batch = rig.take(&receiver, 2).await;
    rig.sleep(20 * SECOND).await;
    let outcomes = receiver.extend(&[batch[0].token()], 30 * SECOND).await;
    assert!(matches!(outcomes[..], [ExtendOutcome::Until(until)] if until == at(50 * SECOND)), "{outcomes:?}");
    assert_eq!(receiver.lost().await, [batch[1].token()]);
    assert_eq!(rig.seams.clock.now(), at(30 * SECOND));
    assert_eq!(receiver.lost().await, [batch[0].token()]);
    assert_eq!(rig.seams.clock.now(), at(50 * SECOND));
    let outcomes = receiver.extend(&[batch[0].token()], SECOND).await;
    assert!(matches!(outcomes[..], [ExtendOutcome::LeaseLost]), "{outcomes:?}");
}

#[tokio::test(start_paused = true)]
async fn an_extension_may_shorten() {
    let rig = Rig::new().await;
    let receiver = rig.receiver().await;
    rig.publish(&["1"]).await;
    let held = rig.take_one(&receiver).await;
    let shorten = async {
        rig.sleep(SECOND).await;
        receiver.extend(&[held.token()], SECOND).await
    };
    let (lost, _) = tokio::join!(receiver.lost(), shorten);
    assert_eq!((lost, rig.seams.clock.now()), (vec![held.token()], at(2 * SECOND)));
}

#[tokio::test(start_paused = true)]
async fn extensions_end_at_the_cap() {
    let lease = LeaseTerms { duration: Some(30 * SECOND), extendable: true, total_max: Some(50 * SECOND) };
    let rig = Rig::with(MemoryOptions { lease, ..MemoryOptions::default() }).await;
    let receiver = rig.receiver().await;
    rig.publish(&["1"]).await;
    let held = rig.take_one(&receiver).await;
    rig.sleep(25 * SECOND).await;
    let outcomes = receiver.extend(&[held.token()], 30 * SECOND).await;
    assert!(matches!(outcomes[..], [ExtendOutcome::Until(until)] if until == at(50 * SECOND)), "{outcomes:?}");
    let outcomes = receiver.extend(&[held.token()], 30 * SECOND).await;
    assert!(matches!(outcomes[..], [ExtendOutcome::Capped]), "{outcomes:?}");
    assert_eq!(receiver.lost().await, [held.token()]);
    assert_eq!(rig.seams.clock.now(), at(50 * SECOND));
}

#[tokio::test(start_paused = true)]
async fn a_receiver_chooses_its_lease() {
    let rig = Rig::new().await;
    let options = SubscribeOptions { lease: Some(5 * SECOND), ..SubscribeOptions::default() };
    let (own, short) = (rig.receiver().await, rig.receiver_of(&Subscription::to(orders()), options).await);
    rig.publish(&["1", "2"]).await;
    let _long = rig.take_one(&own).await;
    let held = rig.take_one(&short).await;
    assert_eq!(short.lost().await, [held.token()]);
    assert_eq!(rig.seams.clock.now(), at(5 * SECOND));
}

#[tokio::test(start_paused = true)]
async fn without_leases_a_delivery_is_held_until_settled() {
    let lease = LeaseTerms { duration: None, extendable: false, total_max: None };
    let rig = Rig::with(MemoryOptions { lease, ..MemoryOptions::default() }).await;
    let receiver = rig.receiver().await;
    rig.publish(&["1"]).await;
    let held = rig.take_one(&receiver).await;
    assert_eq!(held.lease().deadline, None);
    let outcomes = receiver.extend(&[held.token()], SECOND).await;
    assert!(
        matches!(&outcomes[..], [ExtendOutcome::Failed(error)] if error.kind() == ErrorKind::Unsupported),
        "{outcomes:?}"
    );
    rig.sleep(1_000_000 * SECOND).await;
    settled(&receiver, held.ack()).await;
}
