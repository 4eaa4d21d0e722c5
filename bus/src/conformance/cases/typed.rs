//! The typed front: what cannot be read does not stand in the way.

use std::sync::{Arc, Mutex};

use tokio_util::sync::CancellationToken;

use crate::conformance::World;
use crate::typed::Front;
use crate::{Message, MessageKey, Outgoing, Subscription, dead_letter};

super::cases! { "typed":
    an_unreadable_value_is_quarantined_with_its_bytes_and_the_next_one_flows [DeadLetters],
}

async fn an_unreadable_value_is_quarantined_with_its_bytes_and_the_next_one_flows(world: &World) {
    const UNREADABLE: &[u8] = b"[1, \xff";
    let destination = world.declared("values").await;
    let front = Front::new(Arc::clone(&world.bus), world.seams.clone());
    // Of one key: the good one could not pass a bad one that stays.
    let one = MessageKey::new("one").expect("legal");
    let unreadable = Message::new(world.seams.message_id("unreadable"), UNREADABLE).with_key(one.clone());
    world.publish_all(vec![Outgoing::new(destination.clone(), unreadable.clone())]).await;
    front.publish_json(&destination, one, &[2]).await.expect("accepted");

    let (shutdown, flowed) = (CancellationToken::new(), CancellationToken::new());
    let handled = Arc::new(Mutex::new(Vec::new()));
    let (next, values) = (flowed.clone(), Arc::clone(&handled));
    let pipeline = front.subscribe_json(Subscription::to(destination.clone()), move |value: Vec<u32>, _| {
        values.lock().expect("nobody panics with it").push(value);
        next.cancel();
        async { Ok(()) }
    });
    let dead_letters = world.receiver(&destination.dead_letters().expect("short")).await;
    // A bus without order may bring the second first: both are waited for.
    let watching = async {
        let dead = world.take_one(&dead_letters).await;
        flowed.cancelled().await;
        shutdown.cancel();
        dead
    };
    let (ran, dead) = futures_util::join!(pipeline.run(shutdown.clone()), watching);
    ran.expect("what is declared can be subscribed to");
    assert_eq!(*handled.lock().expect("nobody panics with it"), [[2]], "only what can be read reaches the handler");

    assert_eq!((dead.message().id(), &dead.message().body()[..]), (unreadable.id(), UNREADABLE), "kept as it came");
    let reason = dead.message().headers().text(dead_letter::REASON).expect("a reason");
    assert!(reason.starts_with("cannot read"), "at once, without a retry: {reason}");
    assert!(reason.contains("Vec<u32>") && reason.contains("line 1, column"), "it names type and place: {reason}");
    world.ack(&dead_letters, vec![dead]).await;
}
