//! Settling: what a reject keeps, and where.

use std::time::Duration;

use jiff::Timestamp;

use crate::conformance::World;
use crate::conformance::world::body;
use crate::{ErrorKind, Group, Headers, Outgoing, SettleOutcome, Subscription, dead_letter};

/// A broker that writes down the time may have a clock of its own, and keep whole seconds.
const CLOCKS_APART_MAX: Duration = Duration::from_secs(60);

super::cases! { "settle":
    a_rejected_message_is_in_the_dead_letters_with_its_reason_and_as_it_was_sent [DeadLetters],
    a_dead_letter_tells_where_it_comes_from [DeadLetters],
    a_rejected_message_is_gone_from_its_queue [DeadLetters],
    a_reject_by_a_group_names_the_group_and_leaves_the_others_theirs [DeadLetters, Groups],
    a_reject_fails_and_the_message_stays_where_there_are_no_dead_letters [NoDeadLetters],
}

async fn a_rejected_message_is_in_the_dead_letters_with_its_reason_and_as_it_was_sent(world: &World) {
    let destination = world.declared("rejected").await;
    let receiver = world.receiver(&destination).await;
    let headers: Headers = [("tenant", &b"a"[..]), ("주문", &[0xff, 0])].into_iter().collect();
    let sent = world.keyed("ORD-1", "body").with_headers(headers).with_content_type("text/plain");
    world.publish_all(vec![Outgoing::new(destination.clone(), sent.clone())]).await;
    let delivery = world.take_one(&receiver).await;
    let reason = "unreadable: no such field `양`";
    world.settle(&receiver, vec![delivery.reject(reason)]).await;
    let found = world.take_one(&world.graves(&destination).await).await;
    let found = found.message();
    assert_eq!(found.headers().text(dead_letter::REASON), Some(reason), "the reason");
    assert_eq!((found.id(), found.key(), found.body()), (sent.id(), sent.key(), sent.body()));
    assert_eq!(found.content_type(), sent.content_type());
    for (name, value) in sent.headers().iter() {
        assert_eq!(found.headers().get(name), Some(value), "the header {name}");
    }
}

async fn a_dead_letter_tells_where_it_comes_from(world: &World) {
    let destination = world.declared("provenance").await;
    let receiver = world.receiver(&destination).await;
    world.publish(&destination, &["1"]).await;
    drop(world.take_one(&receiver).await);
    let delivery = world.take_one(&receiver).await;
    let rejected_at = world.seams.clock.wall();
    world.settle(&receiver, vec![delivery.reject("bad")]).await;
    let found = world.take_one(&world.graves(&destination).await).await;
    let headers = found.message().headers();
    assert_eq!(headers.text(dead_letter::DESTINATION), Some(destination.as_str()));
    assert_eq!(headers.text(dead_letter::GROUP), None, "the default group has no name");
    let expected = world.capability().receive_count.then_some("2");
    assert_eq!(headers.text(dead_letter::RECEIVE_COUNT), expected, "the receive count");
    let at: Timestamp = headers.text(dead_letter::AT).expect("a time").parse().expect("RFC 3339");
    let span = at.duration_since(rejected_at).unsigned_abs();
    assert!(span < CLOCKS_APART_MAX, "rejected at {at}, which is {span:?} off");
}

async fn a_rejected_message_is_gone_from_its_queue(world: &World) {
    let destination = world.declared("gone").await;
    let receiver = world.leasing(&destination, 4).await;
    world.publish(&destination, &["1", "2"]).await;
    let rejects = world.take(&receiver, 2).await.into_iter().map(|delivery| delivery.reject("bad"));
    world.settle(&receiver, rejects.collect()).await;
    world.nothing_comes(&receiver, "it was rejected").await;
    world.sleep(5 * world.unit()).await;
    world.nothing_comes(&receiver, "it was rejected before its lease ended").await;
    let graves = world.graves(&destination).await;
    let _dead = world.take_bodies(&graves, ["1", "2"]).await;
    world.nothing_comes(&graves, "each is there once").await;
}

async fn a_reject_by_a_group_names_the_group_and_leaves_the_others_theirs(world: &World) {
    let audit = Group::new("audit").expect("a legal name");
    let destination = world.declared_with("group", &[&audit]).await;
    let grouped = Subscription::grouped(destination.clone(), audit);
    let (receiver, other) = (world.receiver_of(&grouped, world.options()).await, world.receiver(&destination).await);
    world.publish(&destination, &["1"]).await;
    let delivery = world.take_one(&receiver).await;
    world.settle(&receiver, vec![delivery.reject("bad")]).await;
    let found = world.take_one(&world.graves(&destination).await).await;
    let headers = found.message().headers();
    assert_eq!(headers.text(dead_letter::GROUP), Some("audit"));
    assert_eq!(headers.text(dead_letter::DESTINATION), Some(destination.as_str()));
    assert_eq!(body(&world.take_one(&other).await), "1", "the default group still has its own");
}

async fn a_reject_fails_and_the_message_stays_where_there_are_no_dead_letters(world: &World) {
    let destination = world.declared("kept").await;
    let receiver = world.receiver(&destination).await;
    world.publish(&destination, &["1"]).await;
    let delivery = world.take_one(&receiver).await;
    let successor = world.successor(&receiver, &destination).await;
    let outcome = world.settle_one(&receiver, delivery.reject("bad")).await;
    assert!(
        matches!(&outcome, SettleOutcome::Failed(error) if error.kind() == ErrorKind::Unsupported),
        "nothing keeps it: {outcome:?}"
    );
    world.nothing_comes(&successor, "it was not given back: that would be a hot loop").await;
    receiver.close().await;
    assert_eq!(body(&world.take_one(&successor).await), "1");
}
