use std::time::Duration;

use bus::emulation::delay::{DUE_AT, HEADER_BYTES, HOP_COUNT};
use bus::{
    ClockExt, Declaration, ErrorKind, Group, Outgoing, PublishOutcome, SubscribeOptions, Subscription, emulation,
};
use bus_memory::MemoryOptions;

use crate::rig::*;

const NATIVE: Duration = Duration::from_secs(3);

fn bare() -> MemoryOptions {
    MemoryOptions { delay_max: Some(NATIVE), ..MemoryOptions::default() }
}

async fn rig_on(options: MemoryOptions) -> Rig {
    Rig::with(options, |bus, seams| emulation::delay(bus, seams, MINUTE)).await
}

async fn rig() -> Rig {
    rig_on(bare()).await
}

#[tokio::test(start_paused = true)]
async fn a_long_delay_is_kept_in_hops_that_the_consumer_does_not_see() {
    // The second is in its last hop for less than a second.
    for delay in [10 * SECOND, SECOND * 19 / 2] {
        let rig = rig().await;
        let receiver = rig.receiver().await;
        let headers = [("tenant", "a")].into_iter().collect();
        let message = rig.message("1").with_headers(headers);
        rig.publish_all(vec![Outgoing::new(orders(), message.clone()).delayed(delay)]).await;
        let came = rig.take(&receiver, 10).await;
        let elapsed = rig.elapsed();
        assert!(delay <= elapsed && elapsed < delay + SECOND / 10, "{elapsed:?}");
        assert_eq!(came[0].message(), &message, "as it was published");
        assert_eq!(came[0].receive_count(), Some(1));
        let hops: Vec<Outgoing> = rig.below.seen();
        let texts = |name| hops.iter().map(|hop| hop.message().headers().text(name)).collect::<Vec<_>>();
        assert_eq!(texts(HOP_COUNT), [None, Some("1"), Some("2"), Some("3")]);
        assert!(texts(DUE_AT).windows(2).all(|pair| pair[0] == pair[1] && pair[0].is_some()), "{hops:?}");
        assert!(hops.iter().all(|hop| hop.delay() <= NATIVE && hop.message().id() == message.id()), "{hops:?}");
        assert!(rig.poll(&receiver, 29 * SECOND).await.is_empty(), "once");
    }
}

#[tokio::test(start_paused = true)]
async fn short_delays_are_left_to_the_bus() {
    let rig = rig().await;
    let receiver = rig.receiver().await;
    rig.publish_all(vec![rig.outgoing("now"), rig.outgoing("later").delayed(NATIVE)]).await;
    let (now, later) = (rig.take(&receiver, 10).await, rig.take(&receiver, 10).await);
    assert_eq!((bodies(&now), bodies(&later)), (vec!["now".to_owned()], vec!["later".to_owned()]));
    assert_eq!(rig.elapsed(), NATIVE);
    assert!(rig.below.seen().iter().all(|outgoing| outgoing.message().headers().count() == 0));
}

#[tokio::test(start_paused = true)]
async fn each_group_gets_a_delayed_message_once() {
    let rig = rig().await;
    let groups = ["audit", "billing"].map(|name| Group::new(name).expect("a legal name"));
    rig.bus.declare(&[Declaration { destination: orders(), groups: groups.to_vec() }]).await.expect("declared");
    let subscriptions = [Subscription::to(orders())].into_iter();
    let subscriptions = subscriptions.chain(groups.map(|group| Subscription::grouped(orders(), group)));
    rig.publish_all(vec![rig.outgoing("1").delayed(20 * SECOND)]).await;
    let one = async |subscription: Subscription| {
        let receiver = rig.bus.subscribe(&subscription, SubscribeOptions::default()).await.expect("declared");
        let came = rig.poll(&receiver, 45 * SECOND).await;
        assert_eq!(bodies(&came), ["1"], "{subscription}");
    };
    let mut all: Vec<_> = subscriptions.map(|subscription| Box::pin(one(subscription))).collect();
    let [own, audit, billing] = &mut all[..] else { panic!("three groups") };
    tokio::join!(own, audit, billing);
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_does_not_keep_the_consumer_from_emptying_it() {
    let rig = rig_on(MemoryOptions { capacity_count: 4, ..bare() }).await;
    let receiver = rig.receiver().await;
    rig.publish_all(vec![rig.outgoing("delayed").delayed(30 * SECOND)]).await;
    // Publishers fill the queue again and again, and wait in front of the hops.
    let filling = async {
        for number in 0..40 {
            rig.publish(&[&format!("{number}")]).await;
        }
    };
    let consuming = async {
        let mut came = Vec::new();
        while came.len() < 41 {
            for delivery in rig.take(&receiver, 2).await {
                came.push(body(&delivery));
                rig.sleep(SECOND).await;
                settled(&receiver, delivery.ack()).await;
            }
        }
        came
    };
    let (_, came) = tokio::join!(filling, consuming);
    assert!(came.contains(&"delayed".to_owned()), "{came:?}");
}

#[tokio::test(start_paused = true)]
async fn a_hop_that_is_not_accepted_is_tried_again() {
    for (mood, count) in [(Mood::Refuses, 1), (Mood::NeverAnswers, 1), (Mood::LosesAnswers, 2)] {
        let rig = rig().await;
        let receiver = rig.receiver().await;
        rig.publish_all(vec![rig.outgoing("1").delayed(20 * SECOND)]).await;
        rig.below.set(mood);
        assert!(rig.poll(&receiver, NATIVE + SECOND / 2).await.is_empty(), "{mood:?}");
        rig.below.set(Mood::Passes);
        let first = rig.take_one(&receiver).await;
        let elapsed = rig.elapsed();
        assert!(20 * SECOND <= elapsed && elapsed < 21 * SECOND, "{mood:?}: {elapsed:?}");
        let mut came = rig.poll(&receiver, 25 * SECOND).await;
        came.push(first);
        // A lost answer makes a duplicate of the same id, and loses nothing.
        assert_eq!(came.len(), count, "{mood:?}");
        assert!(came.iter().all(|delivery| delivery.message().id() == came[0].message().id()), "{mood:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn competing_and_impatient_receivers_get_it_once_and_not_before() {
    let rig = rig().await;
    let (one, two) = (rig.receiver().await, rig.receiver().await);
    rig.publish_all((0..50).map(|number| rig.outgoing(&number.to_string()).delayed(20 * SECOND)).collect()).await;
    let impatient = async |receiver| {
        let mut came = Vec::new();
        while rig.elapsed() < MINUTE {
            let batch = rig.poll(receiver, SECOND / 3).await;
            assert!(batch.is_empty() || rig.elapsed() >= 20 * SECOND, "{:?}", rig.elapsed());
            let settlements = batch.into_iter().map(|delivery| {
                came.push(body(&delivery));
                delivery.ack()
            });
            let settlements = settlements.collect();
            assert!(receiver.settle(settlements).await.iter().all(bus::SettleOutcome::is_settled));
        }
        came
    };
    let (mut came, others) = tokio::join!(impatient(&one), impatient(&two));
    came.extend(others);
    came.sort_by_key(|body| body.parse::<u32>().expect("a number"));
    assert_eq!(came, (0..50).map(|number| number.to_string()).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_leaves_takes_no_hop_with_it() {
    for is_closed in [true, false] {
        let rig = rig().await;
        rig.publish_all(vec![rig.outgoing("1").delayed(20 * SECOND)]).await;
        let receiver = rig.receiver().await;
        rig.below.set(Mood::NeverAnswers);
        assert!(rig.poll(&receiver, NATIVE + SECOND).await.is_empty(), "its hop is under way");
        rig.below.set(Mood::Passes);
        if is_closed {
            receiver.close().await;
        } else {
            drop(receiver);
        }
        let other = rig.receiver().await;
        let came = rig.take_one(&other).await;
        assert_eq!(body(&came), "1");
        let elapsed = rig.elapsed();
        assert!(20 * SECOND <= elapsed && elapsed < 21 * SECOND, "{elapsed:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn delays_and_sizes_beyond_what_is_offered_are_refused() {
    let rig = rig_on(MemoryOptions { message_bytes_max: Some(1_000), ..bare() }).await;
    let capability = rig.bus.capability();
    assert_eq!((capability.delay_max, capability.message_bytes_max), (Some(MINUTE), Some(1_000 - HEADER_BYTES)));
    let too_long = rig.outgoing("1").delayed(MINUTE + SECOND);
    assert_eq!(rig.refused(too_long).await, ErrorKind::Unsupported);
    assert_eq!(rig.refused(rig.outgoing(&"x".repeat(1_001 - HEADER_BYTES))).await, ErrorKind::TooLarge);
    let receiver = rig.receiver().await;
    rig.publish_all(vec![rig.outgoing(&"x".repeat(1_000 - HEADER_BYTES)).delayed(MINUTE)]).await;
    assert_eq!(rig.take(&receiver, 1).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_bus_without_delays_stays_one() {
    let rig = rig_on(MemoryOptions { delay_max: None, ..bare() }).await;
    assert_eq!(rig.bus.capability().delay_max, None);
    let outcomes = rig.bus.publish(vec![rig.outgoing("1").delayed(SECOND), rig.outgoing("2")]).await;
    assert!(matches!(outcomes[..], [PublishOutcome::Refused(_), PublishOutcome::Accepted(_)]), "{outcomes:?}");
}

#[tokio::test(start_paused = true)]
async fn a_foreign_header_of_the_same_name_is_left_alone() {
    let rig = rig().await;
    let receiver = rig.receiver().await;
    let headers = [(DUE_AT, "next Tuesday")].into_iter().collect();
    rig.publish_all(vec![Outgoing::new(orders(), rig.message("1").with_headers(headers))]).await;
    let came = rig.take_one(&receiver).await;
    assert_eq!(came.message().headers().text(DUE_AT), Some("next Tuesday"));
    assert!(rig.seams.clock.timeout(SECOND, receiver.lost()).await.is_none());
}
