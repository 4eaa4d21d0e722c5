//! Receiving: from which destination and group, and what is kept apart.

use std::time::Duration;

use crate::conformance::World;
use crate::conformance::world::{bodies, body};
use crate::{Declaration, ErrorKind, Group, SubscribeOptions, Subscription, dead_letter};

super::cases! { "receive":
    what_was_not_declared_cannot_be_subscribed_to,
    an_unknown_group_cannot_be_subscribed_to [Groups],
    a_subscription_that_can_hold_nothing_is_invalid,
    a_lease_of_no_time_is_invalid [Lease],
    destinations_are_isolated,
    every_group_gets_every_message [Groups],
    groups_are_refused_where_there_are_none [NoGroups],
    an_undecodable_message_goes_to_the_dead_letters_with_its_bytes_and_the_next_one_flows [Undecodable, DeadLetters],
}

fn group(name: &str) -> Group {
    Group::new(name).expect("a legal name")
}

async fn refusal(world: &World, subscription: &Subscription, options: SubscribeOptions) -> ErrorKind {
    let answer = world.bus.subscribe(subscription, options).await;
    answer.err().unwrap_or_else(|| panic!("{subscription} was subscribed to with {options:?}")).kind()
}

async fn what_was_not_declared_cannot_be_subscribed_to(world: &World) {
    let unknown = Subscription::to(world.undeclared("unknown"));
    assert_eq!(refusal(world, &unknown, SubscribeOptions::default()).await, ErrorKind::NotFound);
}

async fn an_unknown_group_cannot_be_subscribed_to(world: &World) {
    let destination = world.declared_with("groups", &[&group("known")]).await;
    let unknown = Subscription::grouped(destination, group("unknown"));
    assert_eq!(refusal(world, &unknown, SubscribeOptions::default()).await, ErrorKind::NotFound);
}

async fn a_subscription_that_can_hold_nothing_is_invalid(world: &World) {
    let subscription = Subscription::to(world.declared("nothing").await);
    let options = SubscribeOptions { prefetch_count_max: 0, ..SubscribeOptions::default() };
    assert_eq!(refusal(world, &subscription, options).await, ErrorKind::Invalid);
}

async fn a_lease_of_no_time_is_invalid(world: &World) {
    let subscription = Subscription::to(world.declared("no-time").await);
    let options = SubscribeOptions { lease: Some(Duration::ZERO), ..SubscribeOptions::default() };
    assert_eq!(refusal(world, &subscription, options).await, ErrorKind::Invalid);
}

async fn destinations_are_isolated(world: &World) {
    let (one, two) = (world.declared("one").await, world.declared("two").await);
    let (of_one, of_two) = (world.receiver(&one).await, world.receiver(&two).await);
    world.publish(&one, &["1"]).await;
    let first = world.take_one(&of_one).await;
    world.nothing_comes(&of_two, "it was sent elsewhere").await;
    world.publish(&two, &["2"]).await;
    world.ack(&of_one, vec![first]).await;
    assert_eq!(body(&world.take_one(&of_two).await), "2", "an ack elsewhere is none here");
    world.nothing_comes(&of_one, "it was sent elsewhere").await;
}

async fn every_group_gets_every_message(world: &World) {
    let (audit, mail) = (group("audit"), group("mail"));
    let destination = world.declared_with("groups", &[&audit, &mail]).await;
    world.publish(&destination, &["1", "2"]).await;
    let subscriptions = [
        Subscription::to(destination.clone()),
        Subscription::grouped(destination.clone(), audit),
        Subscription::grouped(destination, mail),
    ];
    for subscription in subscriptions {
        let receiver = world.receiver_of(&subscription, world.options()).await;
        let both = world.take_bodies(&receiver, ["1", "2"]).await;
        world.ack(&receiver, both.into()).await;
        world.nothing_comes(&receiver, "a group gets a message once").await;
    }
}

async fn groups_are_refused_where_there_are_none(world: &World) {
    let declaration = Declaration { destination: world.undeclared("groups"), groups: vec![group("audit")] };
    let refused = world.bus.declare(&[declaration]).await.expect_err("there are no groups");
    assert_eq!(refused.kind(), ErrorKind::Unsupported);
}

async fn an_undecodable_message_goes_to_the_dead_letters_with_its_bytes_and_the_next_one_flows(world: &World) {
    let destination = world.declared("foreign").await;
    let receiver = world.receiver(&destination).await;
    let raw: &[u8] = b"\xff\x00 no message of ours";
    world.harness().publish_undecodable(&destination, raw).await.expect("a foreign producer sends");
    world.publish(&destination, &["next"]).await;
    // Asked for more than one, it may have taken both in one go.
    let mut next = Vec::new();
    let answer = world.in_time(receiver.receive(10, &mut next)).await.expect("nothing came of what was behind it");
    answer.expect("it is no error of receive");
    assert_eq!(bodies(&next), ["next"], "what cannot be read is no delivery");
    world.ack(&receiver, next).await;
    let quarantined = world.take_one(&world.graves(&destination).await).await;
    assert_eq!(&quarantined.message().body()[..], raw, "its bytes are kept as they are");
    assert!(quarantined.message().headers().text(dead_letter::REASON).is_some_and(|reason| !reason.is_empty()));
    world.nothing_comes(&receiver, "it does not come again").await;
}
