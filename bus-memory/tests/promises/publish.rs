use std::time::Duration;

use bus::{Bus, Declaration, ErrorKind, Headers, Outgoing, PublishOutcome, SubscribeOptions, Subscription};
use bus_memory::MemoryOptions;

use crate::rig::*;

fn refusal(outcome: &PublishOutcome) -> ErrorKind {
    match outcome {
        PublishOutcome::Refused(error) => error.kind(),
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_arrives_as_it_was_sent() {
    let rig = Rig::new().await;
    let headers: Headers = [("주문 id", &[0xff, 0][..]), ("", &b""[..])].into_iter().collect();
    let message =
        rig.message("\u{0}").with_key(key("ORD-1")).with_headers(headers).with_content_type("application/json");
    rig.publish_one(Outgoing::new(orders(), message.clone())).await;
    let receiver = rig.receiver().await;
    let delivery = rig.take_one(&receiver).await;
    assert_eq!(*delivery.message(), message);
    assert_eq!(delivery.receive_count(), Some(1));
}

#[tokio::test(start_paused = true)]
async fn bad_messages_of_a_batch_fail_alone_and_in_place() {
    let options = MemoryOptions { message_bytes_max: Some(10), delay_max: Some(SECOND), ..MemoryOptions::default() };
    let rig = Rig::with(options).await;
    let batch = vec![
        rig.outgoing("first"),
        rig.outgoing("eleven byte"),
        Outgoing::new(destination("elsewhere"), rig.message("x")),
        rig.outgoing("late").delayed(2 * SECOND),
        rig.outgoing("ten bytes!"),
    ];
    let outcomes = rig.bus.publish(batch).await;
    assert_eq!(outcomes.len(), 5);
    assert!(outcomes[0].is_accepted() && outcomes[4].is_accepted());
    assert_eq!(refusal(&outcomes[1]), ErrorKind::TooLarge);
    assert_eq!(refusal(&outcomes[2]), ErrorKind::NotFound);
    assert_eq!(refusal(&outcomes[3]), ErrorKind::Unsupported);
    let receiver = rig.receiver().await;
    assert_eq!(bodies(&rig.poll(&receiver).await), ["first", "ten bytes!"]);
}

#[tokio::test(start_paused = true)]
async fn a_refused_message_before_a_good_one_elsewhere_disturbs_nothing() {
    let options = MemoryOptions { message_bytes_max: Some(10), ..MemoryOptions::default() };
    let rig = Rig::with(options).await;
    rig.bus.declare(&[Declaration::of(destination("elsewhere"))]).await.unwrap();
    let batch = vec![rig.outgoing("eleven byte"), Outgoing::new(destination("elsewhere"), rig.message("good"))];
    let outcomes = rig.bus.publish(batch).await;
    assert_eq!(refusal(&outcomes[0]), ErrorKind::TooLarge);
    assert!(outcomes[1].is_accepted(), "{outcomes:?}");
}

#[tokio::test(start_paused = true)]
async fn a_message_behind_a_refused_one_of_its_key_is_refused_with_it() {
    let options = MemoryOptions { message_bytes_max: Some(20), ..MemoryOptions::default() };
    let rig = Rig::with(options).await;
    let keyed = |body: &str, name| Outgoing::new(orders(), rig.message(body).with_key(key(name)));
    let batch = vec![keyed("twenty-one bytes long", "a"), keyed("good", "a"), keyed("good", "b")];
    let outcomes = rig.bus.publish(batch).await;
    assert_eq!(refusal(&outcomes[0]), ErrorKind::TooLarge);
    assert_eq!(refusal(&outcomes[1]), ErrorKind::Conflict);
    assert!(outcomes[2].is_accepted(), "{outcomes:?}");
}

#[tokio::test(start_paused = true)]
async fn an_undeclared_destination_says_to_declare_it() {
    let rig = Rig::new().await;
    let outcomes = rig.bus.publish(vec![Outgoing::new(destination("elsewhere"), rig.message("x"))]).await;
    assert!(format!("{outcomes:?}").contains("declare it first"), "{outcomes:?}");
    for subscription in [Subscription::to(destination("elsewhere")), Subscription::grouped(orders(), audit())] {
        let error = rig.bus.subscribe(&subscription, SubscribeOptions::default()).await.err().expect("not declared");
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_may_go_to_several_destinations() {
    let rig = Rig::new().await;
    rig.bus.declare(&[Declaration::of(destination("events"))]).await.expect("declared");
    let event = |body| Outgoing::new(destination("events"), rig.message(body));
    accepted(&rig.bus.publish(vec![rig.outgoing("1"), event("a"), rig.outgoing("2"), event("b")]).await);
    let events = rig.receiver_of(&Subscription::to(destination("events")), SubscribeOptions::default()).await;
    let receiver = rig.receiver().await;
    assert_eq!(bodies(&rig.poll(&receiver).await), ["1", "2"]);
    assert_eq!(bodies(&rig.poll(&events).await), ["a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn batches_of_all_sizes_keep_their_order() {
    for count in [0, 1, 10, 11, 1_000] {
        let rig = Rig::new().await;
        let sent: Vec<String> = (0..count).map(|number| number.to_string()).collect();
        let outcomes = rig.bus.publish(sent.iter().map(|body| rig.outgoing(body)).collect()).await;
        assert_eq!(outcomes.len(), count);
        let options = SubscribeOptions { prefetch_count_max: 2_000, lease: None };
        let receiver = rig.receiver_of(&Subscription::to(orders()), options).await;
        assert_eq!(bodies(&rig.poll(&receiver).await), sent);
    }
}

#[tokio::test(start_paused = true)]
async fn a_delayed_message_is_not_early_and_takes_its_place_when_due() {
    let rig = Rig::new().await;
    let receiver = rig.receiver().await;
    rig.publish_one(rig.keyed("a1").delayed(10 * SECOND)).await;
    rig.publish_keyed(&["a2"]).await;
    let first = rig.take(&receiver, 10).await;
    assert_eq!(bodies(&first), ["a2"], "a message that is not due holds nothing up");
    ack_all(&receiver, first).await;
    let begin = rig.seams.clock.now();
    let second = rig.take(&receiver, 10).await;
    assert_eq!(bodies(&second), ["a1"]);
    let waited = rig.seams.clock.now().since(begin);
    assert!(waited >= 10 * SECOND - Duration::from_millis(1), "{waited:?}");
}
