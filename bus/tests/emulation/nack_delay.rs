use std::sync::Arc;
use std::time::Duration;

use bus::capability::LeaseTerms;
use bus::{ClockExt, Delivery, ErrorKind, Receiver, SettleOutcome, SubscribeOptions, Subscription, emulation};
use bus_memory::MemoryOptions;

use crate::rig::*;

fn bare() -> MemoryOptions {
    MemoryOptions { nack_delay_max: None, ..MemoryOptions::default() }
}

fn leases(duration: u64, extendable: bool, total_max: Option<u64>) -> MemoryOptions {
    let seconds = Duration::from_secs;
    let lease = LeaseTerms { duration: Some(seconds(duration)), extendable, total_max: total_max.map(seconds) };
    MemoryOptions { lease, ..bare() }
}

async fn rig_on(options: MemoryOptions) -> Rig {
    Rig::with(options, |bus, seams| emulation::nack_delay(bus, seams, 60 * MINUTE)).await
}

async fn rig() -> Rig {
    rig_on(bare()).await
}

/// A rig and a receiver that has nacked `1` for `after`.
async fn nacked(options: MemoryOptions, after: Duration) -> (Rig, Arc<dyn Receiver>) {
    let rig = rig_on(options).await;
    let receiver = rig.receiver().await;
    rig.publish(&["1"]).await;
    settled(&receiver, rig.take_one(&receiver).await.nack(after)).await;
    (rig, receiver)
}

#[tokio::test(start_paused = true)]
async fn a_nack_comes_back_when_its_delay_is_over_however_short_its_lease() {
    let endless = MemoryOptions { lease: LeaseTerms { duration: None, extendable: false, total_max: None }, ..bare() };
    for options in [bare(), leases(1, true, None), endless] {
        let (rig, receiver) = nacked(options.clone(), 50 * MINUTE).await;
        let again = rig.take_one(&receiver).await;
        assert_eq!((rig.elapsed(), again.receive_count()), (50 * MINUTE, Some(2)), "{options:?}");
        settled(&receiver, again.ack()).await;
        assert_eq!(rig.depth("orders").await.total_count(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn short_delays_are_left_to_the_bus() {
    let native = MemoryOptions { nack_delay_max: Some(5 * SECOND), ..MemoryOptions::default() };
    for (after, in_flight_count) in [(5, 0), (6, 1)] {
        let rig = Rig::with(native.clone(), |bus, seams| {
            let bus = emulation::nack_delay(bus, seams, MINUTE);
            assert_eq!(bus.capability().nack_delay_max, Some(MINUTE));
            bus
        });
        let rig = rig.await;
        let receiver = rig.receiver().await;
        rig.publish(&["1"]).await;
        settled(&receiver, rig.take_one(&receiver).await.nack(after * SECOND)).await;
        drop(receiver);
        // What is held goes back with its receiver; what the bus delays stays delayed.
        assert_eq!(rig.depth("orders").await.ready_count, in_flight_count);
    }
}

#[tokio::test(start_paused = true)]
async fn a_waiting_receive_alone_carries_out_what_is_due_and_so_does_a_waiting_lost() {
    let (rig, receiver) = nacked(bare(), MINUTE).await;
    let other = rig.receiver().await;
    let driven = async {
        let lost = rig.seams.clock.timeout(2 * MINUTE, receiver.lost()).await;
        assert!(lost.is_none(), "nobody lost what he had nacked: {lost:?}");
    };
    let taking = async {
        let again = rig.take_one(&other).await;
        assert_eq!(rig.elapsed(), MINUTE);
        settled(&other, again.ack()).await;
    };
    tokio::join!(driven, taking);
    let (rig, receiver) = nacked(bare(), MINUTE).await;
    assert_eq!(bodies(&rig.take(&receiver, 10).await), ["1"]);
    assert_eq!(rig.elapsed(), MINUTE);
}

#[tokio::test(start_paused = true)]
async fn a_receive_that_is_dropped_again_and_again_loses_nothing() {
    let (rig, receiver) = nacked(bare(), MINUTE).await;
    // Each call looks for what is due; the last two shortly before and at the end.
    for span in [SECOND * 7; 8].into_iter().chain([SECOND * 7 / 2, SECOND * 4 / 10]) {
        assert!(rig.poll(&receiver, span).await.is_empty(), "at {:?}", rig.elapsed());
    }
    assert_eq!(rig.elapsed(), SECOND * 599 / 10);
    assert_eq!((bodies(&rig.take(&receiver, 10).await), rig.elapsed()), (vec!["1".to_owned()], MINUTE));
}

#[tokio::test(start_paused = true)]
async fn a_waiting_receive_learns_of_a_nack_made_meanwhile() {
    let rig = rig().await;
    let receiver = rig.receiver().await;
    rig.publish(&["1"]).await;
    let first = rig.take_one(&receiver).await;
    let nacking = async {
        rig.sleep(SECOND).await;
        settled(&receiver, first.nack(10 * SECOND)).await;
    };
    let (_, again) = tokio::join!(nacking, rig.take_one(&receiver));
    assert_eq!((body(&again).as_str(), rig.elapsed()), ("1", 11 * SECOND));
}

#[tokio::test(start_paused = true)]
async fn a_key_waits_behind_its_nacked_head_and_others_do_not() {
    let rig = rig().await;
    let receiver = rig.receiver().await;
    rig.publish_keyed(&["a1", "a2", "a3", "b1"]).await;
    settled(&receiver, rig.take_one(&receiver).await.nack(MINUTE)).await;
    let mut flowing = rig.poll(&receiver, 29 * SECOND).await;
    assert_eq!(bodies(&flowing), ["b1"]);
    let depth = rig.depth("orders").await;
    assert_eq!((depth.delayed_count, depth.ready_count, depth.in_flight_count), (1, 2, 1), "as on a bus that delays");
    settled(&receiver, flowing.remove(0).ack()).await;
    let mut rest = Vec::new();
    while rest.len() < 3 {
        rest.extend(rig.take(&receiver, 3).await);
    }
    assert_eq!((bodies(&rest), rig.elapsed()), (["a1", "a2", "a3"].map(str::to_owned).to_vec(), MINUTE));
    let counts: Vec<_> = rest.iter().map(Delivery::receive_count).collect();
    assert_eq!(counts, [Some(2), Some(1), Some(1)], "waiting here is no delivery");
}

#[tokio::test(start_paused = true)]
async fn a_key_goes_on_when_its_last_head_is_due() {
    let rig = rig().await;
    let receiver = rig.receiver().await;
    rig.publish_keyed(&["a1", "a2"]).await;
    let [one, two]: [Delivery; 2] = rig.take(&receiver, 2).await.try_into().expect("two");
    let outcomes = receiver.settle(vec![one.nack(MINUTE), two.nack(10 * SECOND)]).await;
    assert!(outcomes.iter().all(SettleOutcome::is_settled), "{outcomes:?}");
    let again = rig.take(&receiver, 2).await;
    assert_eq!((bodies(&again), rig.elapsed()), (["a1", "a2"].map(str::to_owned).to_vec(), MINUTE));
}

#[tokio::test(start_paused = true)]
async fn a_held_message_counts_against_the_prefetch() {
    let rig = rig().await;
    let options = SubscribeOptions { prefetch_count_max: 1, ..SubscribeOptions::default() };
    let receiver = rig.bus.subscribe(&Subscription::to(orders()), options).await.expect("declared");
    rig.publish(&["1", "2"]).await;
    settled(&receiver, rig.take_one(&receiver).await.nack(MINUTE)).await;
    assert_eq!((body(&rig.take_one(&receiver).await).as_str(), rig.elapsed()), ("1", MINUTE));
}

#[tokio::test(start_paused = true)]
async fn a_fixed_lease_offers_its_half_and_refuses_what_it_does_not_cover() {
    let rig = rig_on(leases(30, false, None)).await;
    assert_eq!(rig.bus.capability().nack_delay_max, Some(15 * SECOND));
    let receiver = rig.receiver().await;
    rig.publish(&["1"]).await;
    settled(&receiver, rig.take_one(&receiver).await.nack(15 * SECOND)).await;
    let slow = rig.take_one(&receiver).await;
    assert_eq!(rig.elapsed(), 15 * SECOND);
    rig.sleep(20 * SECOND).await;
    let error = failed(&receiver, slow.nack(15 * SECOND)).await;
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    let again = rig.take_one(&receiver).await;
    assert_eq!(rig.elapsed(), 45 * SECOND, "when its lease ended");
    assert_eq!(failed(&receiver, again.nack(16 * SECOND)).await.kind(), ErrorKind::Unsupported);
}

#[tokio::test(start_paused = true)]
async fn the_cap_on_leases_bounds_the_delay() {
    let rig = rig_on(leases(10, true, Some(60))).await;
    assert_eq!(rig.bus.capability().nack_delay_max, Some(30 * SECOND));
    let receiver = rig.receiver().await;
    rig.publish(&["1"]).await;
    settled(&receiver, rig.take_one(&receiver).await.nack(30 * SECOND)).await;
    let held = rig.take_one(&receiver).await;
    assert_eq!(rig.elapsed(), 30 * SECOND);
    for _ in 0..7 {
        rig.sleep(5 * SECOND).await;
        let _ = receiver.extend(&[held.token()], 10 * SECOND).await;
    }
    assert_eq!(failed(&receiver, held.nack(26 * SECOND)).await.kind(), ErrorKind::Unsupported, "35 + 26 are over 60");
}

#[tokio::test(start_paused = true)]
async fn a_late_nack_is_lease_lost() {
    for options in [bare(), leases(30, false, None)] {
        let rig = rig_on(options).await;
        let receiver = rig.receiver().await;
        rig.publish(&["1"]).await;
        let late = rig.take_one(&receiver).await;
        rig.sleep(30 * SECOND).await;
        let outcomes = receiver.settle(vec![late.nack(10 * SECOND)]).await;
        assert!(matches!(outcomes[..], [SettleOutcome::LeaseLost]), "{outcomes:?}");
        assert_eq!(rig.poll(&receiver, SECOND).await.len(), 1, "it comes again by itself");
    }
}

#[tokio::test(start_paused = true)]
async fn a_nack_whose_lease_is_not_extended_is_told_and_comes_again_when_the_lease_ends() {
    for extension in [Extension::Fails, Extension::Capped, Extension::Lost] {
        let rig = rig().await;
        let receiver = rig.receiver().await;
        rig.publish_keyed(&["a1", "a2"]).await;
        rig.below.extensions(extension);
        let outcomes = receiver.settle(vec![rig.take_one(&receiver).await.nack(MINUTE)]).await;
        match (extension, &outcomes[..]) {
            (Extension::Fails, [SettleOutcome::Failed(error)]) if error.kind() == ErrorKind::Unavailable => {}
            (Extension::Capped, [SettleOutcome::Failed(error)]) if error.kind() == ErrorKind::Unsupported => {}
            (Extension::Lost, [SettleOutcome::LeaseLost]) => {}
            (_, outcomes) => panic!("{extension:?}: {outcomes:?}"),
        }
        let follower = rig.take_one(&receiver).await;
        assert_eq!(body(&follower), "a2", "nothing holds it back");
        settled(&receiver, follower.ack()).await;
        let again = rig.take_one(&receiver).await;
        assert_eq!((body(&again).as_str(), rig.elapsed()), ("a1", 30 * SECOND), "{extension:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_nacked_is_not_reported_as_lost_when_its_lease_ends_with_its_delay() {
    let rig = rig_on(leases(30, false, None)).await;
    let receiver = rig.receiver().await;
    rig.publish(&["1"]).await;
    let slow = rig.take_one(&receiver).await;
    rig.sleep(15 * SECOND).await;
    settled(&receiver, slow.nack(15 * SECOND)).await;
    let lost = rig.seams.clock.timeout(MINUTE, receiver.lost()).await;
    assert!(lost.is_none(), "{lost:?}");
    assert_eq!(rig.poll(&receiver, SECOND).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn leases_of_others_are_still_reported_as_lost() {
    let (rig, receiver) = nacked(bare(), 10 * MINUTE).await;
    rig.publish(&["2"]).await;
    let held = rig.take_one(&receiver).await;
    assert_eq!(receiver.lost().await, [held.token()]);
    assert_eq!(rig.elapsed(), 30 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_closed_or_dropped_receiver_gives_everything_back() {
    for is_closed in [true, false] {
        let rig = rig().await;
        let receiver = rig.receiver().await;
        rig.publish_keyed(&["a1", "a2"]).await;
        settled(&receiver, rig.take_one(&receiver).await.nack(10 * MINUTE)).await;
        assert!(rig.poll(&receiver, SECOND).await.is_empty(), "a2 waits behind a1");
        if is_closed {
            receiver.close().await;
        } else {
            drop(receiver);
        }
        let other = rig.receiver().await;
        let came = rig.take(&other, 10).await;
        assert_eq!((bodies(&came), rig.elapsed()), (vec!["a1".to_owned(), "a2".to_owned()], SECOND), "at once");
        assert!(!is_closed || came[1].receive_count() == Some(1), "nobody saw it before");
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_crash_a_held_message_comes_when_its_lease_ends_and_not_before_it_is_due() {
    for (options, came_at) in [(bare(), 61 * SECOND), (leases(120, false, None), 120 * SECOND)] {
        let (rig, receiver) = nacked(options, MINUTE).await;
        // Neither does it act any more, nor does the bus learn of its end.
        std::mem::forget(receiver);
        let other = rig.receiver().await;
        assert_eq!((body(&rig.take_one(&other).await).as_str(), rig.elapsed()), ("1", came_at));
    }
}

#[tokio::test(start_paused = true)]
async fn held_messages_stay_held_while_a_stopped_receiver_settles() {
    let (rig, receiver) = nacked(bare(), MINUTE).await;
    receiver.stop();
    let other = rig.receiver().await;
    let driven = rig.seams.clock.timeout(2 * MINUTE, receiver.lost());
    let taking = async {
        drop(rig.take_one(&other).await);
        rig.elapsed()
    };
    let (_, came_at) = tokio::join!(driven, taking);
    assert_eq!(came_at, MINUTE);
    let mut into = Vec::new();
    let closed = receiver.receive(1, &mut into).await.expect_err("it was stopped");
    assert_eq!(closed.kind(), ErrorKind::Closed);
}

#[tokio::test(start_paused = true)]
async fn settlements_stay_unanswered_on_a_bus_that_does_not_answer() {
    let rig = rig_on(MemoryOptions { settle_confirmed: false, ..bare() }).await;
    let receiver = rig.receiver().await;
    rig.publish(&["1"]).await;
    for after in [10 * SECOND, 10 * MINUTE] {
        let outcomes = receiver.settle(vec![rig.take_one(&receiver).await.nack(after)]).await;
        assert!(matches!(outcomes[..], [SettleOutcome::Sent]), "{outcomes:?}");
    }
}
