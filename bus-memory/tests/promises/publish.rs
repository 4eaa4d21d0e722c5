use std::time::Duration;

use bus::{Bus, Declaration, ErrorKind, Outgoing, PublishOutcome, SubscribeOptions, Subscription};
use bus_memory::MemoryOptions;

use crate::rig::*;

#[tokio::test(start_paused = true)]
async fn a_refused_message_before_a_good_one_elsewhere_disturbs_nothing() {
    let options = MemoryOptions { message_bytes_max: Some(10), ..MemoryOptions::default() };
    let rig = Rig::with(options).await;
    rig.bus.declare(&[Declaration::of(destination("elsewhere"))]).await.unwrap();
    let batch = vec![rig.outgoing("eleven byte"), Outgoing::new(destination("elsewhere"), rig.message("good"))];
    let outcomes = rig.bus.publish(batch).await;
    assert!(
        matches!(&outcomes[..], [PublishOutcome::Refused(error), PublishOutcome::Accepted(_)]
            if error.kind() == ErrorKind::TooLarge),
        "{outcomes:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_undeclared_destination_says_to_declare_it() {
    let rig = Rig::new().await;
    let outcomes = rig.bus.publish(vec![Outgoing::new(destination("elsewhere"), rig.message("x"))]).await;
    assert!(format!("{outcomes:?}").contains("declare it first"), "{outcomes:?}");
    let error = rig.bus.subscribe(&Subscription::to(destination("elsewhere")), SubscribeOptions::default()).await;
    let error = error.err().expect("not declared").to_string();
    assert!(error.contains("declare it first"), "{error}");
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

#[tokio::test(start_paused = true)]
async fn messages_without_a_key_keep_the_order_of_their_batch() {
    let rig = Rig::new().await;
    let sent: Vec<String> = (0..200).map(|number| number.to_string()).collect();
    rig.publish(&sent.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let receiver = rig.receiver().await;
    assert_eq!(bodies(&rig.take(&receiver, 1_000).await), sent);
}
