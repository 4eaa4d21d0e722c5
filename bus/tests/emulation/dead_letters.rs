use bus::capability::LeaseTerms;
use bus::emulation::{self, dead_letters::RETRY_AFTER};
use bus::{
    ClockExt, Declaration, Delivery, ErrorKind, Group, MessageKey, Outgoing, SettleOutcome, SubscribeOptions,
    Subscription, dead_letter,
};
use bus_memory::MemoryOptions;

use crate::rig::*;

fn bare() -> MemoryOptions {
    MemoryOptions { dead_letters: false, ..MemoryOptions::default() }
}

async fn rig_on(options: MemoryOptions) -> Rig {
    Rig::with(options, emulation::dead_letters).await
}

async fn rig() -> Rig {
    rig_on(bare()).await
}

#[tokio::test(start_paused = true)]
async fn a_rejected_message_is_moved_with_its_provenance() {
    let rig = rig().await;
    let audit = Group::new("audit").expect("a legal name");
    let declaration = Declaration { destination: orders(), groups: vec![audit.clone()] };
    rig.bus.declare(&[declaration]).await.expect("declared");
    let subscription = Subscription::grouped(orders(), audit);
    let receiver = rig.bus.subscribe(&subscription, SubscribeOptions::default()).await.expect("declared");
    let headers = [("tenant", "a")].into_iter().collect();
    let key = MessageKey::new("ORD-1").expect("a legal key");
    let message = rig.message("1").with_key(key).with_headers(headers).with_content_type("text/plain");
    rig.publish_all(vec![Outgoing::new(orders(), message.clone())]).await;
    rig.sleep(SECOND).await;
    drop(rig.take_one(&receiver).await);
    settled(&receiver, rig.take_one(&receiver).await.reject("unreadable: no such field")).await;
    let dead = rig.receiver_of("orders-dlq").await;
    let found = rig.take_one(&dead).await;
    let found = found.message();
    assert_eq!((found.id(), found.key(), found.body()), (message.id(), message.key(), message.body()));
    assert_eq!(found.content_type(), Some("text/plain"));
    for (name, value) in [
        ("tenant", "a"),
        (dead_letter::REASON, "unreadable: no such field"),
        (dead_letter::DESTINATION, "orders"),
        (dead_letter::GROUP, "audit"),
        (dead_letter::RECEIVE_COUNT, "2"),
        (dead_letter::AT, "2026-01-01T00:00:01Z"),
    ] {
        assert_eq!(found.headers().text(name), Some(value), "{name}");
    }
    assert_eq!(rig.bus.depth(&subscription).await.expect("declared").total_count(), 0, "moved, not copied");
}

#[tokio::test(start_paused = true)]
async fn what_the_dead_letters_did_not_take_stays_and_comes_again_when_its_lease_ends() {
    for (mood, kind, copy_count) in [
        (Mood::Refuses, ErrorKind::Unavailable, 1),
        // It arrived, which nobody knows: two copies of one id, none lost.
        (Mood::LosesAnswers, ErrorKind::Unavailable, 2),
        (Mood::NeverAnswers, ErrorKind::Timeout, 1),
    ] {
        let rig = rig().await;
        let receiver = rig.receiver().await;
        rig.publish(&["1"]).await;
        rig.below.set(mood);
        let error = failed(&receiver, rig.take_one(&receiver).await.reject("bad")).await;
        assert!(error.kind() == kind && error.is_retryable(), "{mood:?}: {error}");
        rig.below.set(Mood::Passes);
        let waited = 30 * SECOND - rig.elapsed();
        assert!(rig.poll(&receiver, waited - SECOND / 10).await.is_empty(), "{mood:?}: no hot loop");
        let again = rig.take_one(&receiver).await;
        assert_eq!((again.receive_count(), rig.elapsed()), (Some(2), 30 * SECOND), "{mood:?}");
        settled(&receiver, again.reject("bad")).await;
        let dead = rig.receiver_of("orders-dlq").await;
        assert_eq!(rig.poll(&dead, SECOND).await.len(), copy_count, "{mood:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_leases_what_was_not_taken_comes_again_after_a_pause() {
    let lease = LeaseTerms { duration: None, extendable: false, total_max: None };
    let rig = rig_on(MemoryOptions { lease, ..bare() }).await;
    let receiver = rig.receiver().await;
    rig.publish(&["1"]).await;
    rig.below.set(Mood::Refuses);
    let _ = failed(&receiver, rig.take_one(&receiver).await.reject("bad")).await;
    let again = rig.take_one(&receiver).await;
    assert_eq!((body(&again).as_str(), rig.elapsed()), ("1", RETRY_AFTER));
}

#[tokio::test(start_paused = true)]
async fn an_original_is_there_until_its_copy_was_accepted() {
    let rig = rig().await;
    let receiver = rig.receiver().await;
    rig.publish(&["1"]).await;
    rig.below.set(Mood::NeverAnswers);
    let reject = rig.take_one(&receiver).await.reject("bad");
    let settling = receiver.settle(vec![reject]);
    assert!(rig.seams.clock.timeout(SECOND, settling).await.is_none(), "no answer yet");
    rig.below.set(Mood::Passes);
    // The call was dropped, so the reject was never decided.
    let again = rig.take_one(&receiver).await;
    assert_eq!((body(&again).as_str(), rig.elapsed()), ("1", SECOND), "given back at once");
}

#[tokio::test(start_paused = true)]
async fn dead_letters_have_none_of_their_own_unless_they_are_declared_themselves() {
    let rig = rig().await;
    let receiver = rig.receiver().await;
    rig.publish(&["1"]).await;
    settled(&receiver, rig.take_one(&receiver).await.reject("first")).await;
    let dead = rig.receiver_of("orders-dlq").await;
    let error = failed(&dead, rig.take_one(&dead).await.reject("again")).await;
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(rig.poll(&dead, 29 * SECOND).await.is_empty(), "no hot loop: it comes again when its lease ends");
    let again = rig.take_one(&dead).await;
    assert_eq!(again.message().headers().text(dead_letter::REASON), Some("first"));
    rig.bus.declare(&[Declaration::of(destination("orders-dlq"))]).await.expect("declared");
    settled(&dead, again.reject("again")).await;
    let deeper = rig.receiver_of("orders-dlq-dlq").await;
    assert_eq!(rig.take_one(&deeper).await.message().headers().text(dead_letter::REASON), Some("again"));
}

#[tokio::test(start_paused = true)]
async fn a_reject_after_the_lease_was_lost_makes_no_copy() {
    let rig = rig().await;
    let receiver = rig.receiver().await;
    rig.publish(&["1"]).await;
    let late = rig.take_one(&receiver).await;
    rig.sleep(31 * SECOND).await;
    let outcomes = receiver.settle(vec![late.reject("too late")]).await;
    assert!(matches!(outcomes[..], [SettleOutcome::LeaseLost]), "{outcomes:?}");
    let reported = rig.take_one(&receiver).await;
    assert_eq!(receiver.lost().await.len(), 1, "the first one");
    rig.sleep(31 * SECOND).await;
    assert_eq!(receiver.lost().await, [reported.token()]);
    let outcomes = receiver.settle(vec![reported.reject("too late as well")]).await;
    assert!(matches!(outcomes[..], [SettleOutcome::LeaseLost]), "{outcomes:?}");
    assert_eq!(rig.depth("orders-dlq").await.total_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_extended_delivery_can_still_be_rejected() {
    let rig = rig().await;
    let receiver = rig.receiver().await;
    rig.publish(&["1"]).await;
    let held = rig.take_one(&receiver).await;
    rig.sleep(20 * SECOND).await;
    let _ = receiver.extend(&[held.token()], 30 * SECOND).await;
    rig.sleep(20 * SECOND).await;
    settled(&receiver, held.reject("slow")).await;
    assert_eq!(rig.depth("orders-dlq").await.ready_count, 1);
}

#[tokio::test(start_paused = true)]
async fn answers_of_a_mixed_batch_come_in_input_order() {
    let rig = rig().await;
    let receiver = rig.receiver().await;
    rig.publish(&["lost"]).await;
    let lost = rig.take_one(&receiver).await;
    rig.sleep(31 * SECOND).await;
    settled(&receiver, rig.take_one(&receiver).await.ack()).await;
    rig.publish(&["1", "2", "3"]).await;
    let [one, two, three]: [Delivery; 3] = rig.take(&receiver, 3).await.try_into().expect("three");
    let batch = vec![one.reject("bad"), lost.reject("late"), two.ack(), three.nack(MINUTE)];
    let outcomes = receiver.settle(batch).await;
    use SettleOutcome::{LeaseLost, Settled};
    assert!(matches!(outcomes[..], [Settled, LeaseLost, Settled, Settled]), "{outcomes:?}");
    let (depth, dead) = (rig.depth("orders").await, rig.depth("orders-dlq").await);
    assert_eq!((depth.delayed_count, depth.total_count(), dead.ready_count), (1, 1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_message_of_the_largest_size_fits_into_the_dead_letters_and_back() {
    let rig = rig_on(MemoryOptions { message_bytes_max: Some(4_000), ..bare() }).await;
    let max = rig.bus.capability().message_bytes_max.expect("a limit");
    let kind = rig.refused(rig.outgoing(&"x".repeat(max + 1))).await;
    assert_eq!(kind, ErrorKind::TooLarge);
    rig.publish(&[&"x".repeat(max)]).await;
    let (receiver, dead) = (rig.receiver().await, rig.receiver_of("orders-dlq").await);
    settled(&receiver, rig.take_one(&receiver).await.reject("어".repeat(2_000))).await;
    let found = rig.take_one(&dead).await;
    let reason = found.message().headers().text(dead_letter::REASON).expect("a reason").to_owned();
    assert!(!reason.is_empty() && reason.chars().all(|c| c == '어'), "its beginning: {reason}");
    rig.publish_all(vec![Outgoing::new(orders(), found.message().clone())]).await;
}

#[tokio::test(start_paused = true)]
async fn a_message_behind_a_refused_one_of_its_key_is_refused_where_batches_are_atomic() {
    for publish_atomic in [true, false] {
        let rig = rig_on(MemoryOptions { message_bytes_max: Some(1_000), publish_atomic, ..bare() }).await;
        let key = |text| MessageKey::new(text).expect("a legal key");
        let large = Outgoing::new(orders(), rig.message(&"x".repeat(900)).with_key(key("a")));
        let batch = vec![rig.keyed("b1"), large, rig.keyed("a2"), rig.keyed("b2")];
        let outcomes: Vec<bool> = rig.bus.publish(batch).await.iter().map(bus::PublishOutcome::is_accepted).collect();
        assert_eq!(outcomes, [true, false, !publish_atomic, true]);
    }
}

#[tokio::test(start_paused = true)]
async fn settlements_stay_unanswered_on_a_bus_that_does_not_answer() {
    let rig = rig_on(MemoryOptions { settle_confirmed: false, ..bare() }).await;
    let receiver = rig.receiver().await;
    rig.publish(&["1"]).await;
    let outcomes = receiver.settle(vec![rig.take_one(&receiver).await.reject("bad")]).await;
    assert!(matches!(outcomes[..], [SettleOutcome::Sent]), "{outcomes:?}");
}

#[tokio::test(start_paused = true)]
async fn a_name_without_room_for_the_ending_cannot_be_declared() {
    let rig = rig().await;
    let error = rig.bus.declare(&[Declaration::of(destination(&"x".repeat(80)))]).await;
    assert_eq!(error.expect_err("no room for -dlq").kind(), ErrorKind::Invalid);
}
