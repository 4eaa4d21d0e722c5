//! What a bus answers to fixed questions, one after the other: what the contract leaves free, and two
//! buses that pass the same cases may still answer differently.

use std::time::Duration;

use super::World;
use crate::dead_letter::Provenance;
use crate::{
    BusExt, Declaration, Delivery, ExtendOutcome, Group, Outgoing, PublishOutcome, Result, SettleOutcome,
    SubscribeOptions, Subscription, Token,
};

/// Questions and answers, in the order they were asked.
pub(super) async fn answers(world: &World) -> Vec<(&'static str, String)> {
    let mut told = unknown_names(world).await;
    told.extend(limits(world).await);
    told.extend(settlements(world).await);
    told
}

/// Of what was never declared.
async fn unknown_names(world: &World) -> Vec<(&'static str, String)> {
    let (nowhere, bus) = (world.undeclared("nowhere"), &world.bus);
    let subscription = Subscription::to(nowhere.clone());
    let group = Group::new("others").expect("a legal name");
    let known = world.declared("known").await;
    let grouped = Subscription::grouped(known.clone(), group.clone());
    let declaration = Declaration { destination: known.clone(), groups: vec![group] };
    vec![
        ("subscribe to an unknown destination", ended(bus.subscribe(&subscription, world.options()).await)),
        ("depth of an unknown destination", ended(bus.depth(&subscription).await)),
        ("purge of an unknown destination", ended(bus.purge(&subscription).await)),
        (
            "publish to an unknown destination",
            published(&bus.publish_one(Outgoing::new(nowhere, world.message("1"))).await),
        ),
        ("subscribe as an unknown group", ended(bus.subscribe(&grouped, world.options()).await)),
        ("declare a group", ended(bus.declare(&[declaration]).await)),
        ("declare again", ended(bus.declare(&[Declaration::of(known.clone())]).await)),
        ("purge what is empty", ended(bus.purge(&Subscription::to(known)).await)),
    ]
}

/// Of what is too much.
async fn limits(world: &World) -> Vec<(&'static str, String)> {
    let (known, bus) = (world.declared("limits").await, &world.bus);
    let subscription = Subscription::to(known.clone());
    let mut told = Vec::new();
    if let Some(max) = world.capability().message_bytes_max {
        let large = world.message(&"x".repeat(max + 1));
        told.push((
            "publish more than the longest message",
            published(&bus.publish_one(Outgoing::new(known.clone(), large)).await),
        ));
    }
    let beyond = world.capability().delay_max.unwrap_or_default() + Duration::from_secs(1);
    let delayed = Outgoing::new(known, world.message("late")).delayed(beyond);
    told.push(("publish with more than the longest delay", published(&bus.publish_one(delayed).await)));
    let nothing = SubscribeOptions { prefetch_count_max: 0, ..world.options() };
    told.push(("subscribe with a prefetch of 0", ended(bus.subscribe(&subscription, nothing).await)));
    told
}

/// Of one message after the other: handed out, settled in each way, and asked about afterwards.
async fn settlements(world: &World) -> Vec<(&'static str, String)> {
    let queue = world.declared("settlements").await;
    let receiver = world.receiver(&queue).await;
    let mut told = Vec::new();
    world.publish(&queue, &["nacked"]).await;
    let first = world.take_one(&receiver).await;
    told.push(("first receive", received(&first)));
    let token = first.token();
    told.push(("extend", extended(&receiver.extend(&[token], world.unit()).await)));
    told.push(("nack", settled(&world.settle_one(&receiver, first.nack(Duration::ZERO)).await)));
    let again = world.take_one(&receiver).await;
    told.push(("receive after a nack", received(&again)));
    world.release(&receiver, vec![again]).await;
    let released = world.take_one(&receiver).await;
    told.push(("receive after a release", received(&released)));
    let token: Token = released.token();
    told.push(("ack", settled(&world.settle_one(&receiver, released.ack()).await)));
    told.push(("extend what is acknowledged", extended(&receiver.extend(&[token], world.unit()).await)));
    if world.capability().dead_letters {
        let graves = world.graves(&queue).await;
        world.publish(&queue, &["rejected"]).await;
        let rejected = world.take_one(&receiver).await;
        told.push(("reject", settled(&world.settle_one(&receiver, rejected.reject("no good")).await)));
        let dead = world.take_one(&graves).await;
        let Provenance { reason, rejected_by, receive_count, .. } = Provenance::of(dead.message());
        let is_of_it = rejected_by.is_some_and(|by| by.destination() == &queue);
        told.push(("dead letter", format!("{reason:?}, rejected there {is_of_it}, receive {receive_count:?}")));
        world.ack(&graves, vec![dead]).await;
    }
    if let Some(max) = world.capability().nack_delay_max {
        world.publish(&queue, &["patient"]).await;
        let patient = world.take_one(&receiver).await;
        let beyond = patient.nack(max + Duration::from_secs(1));
        told.push(("nack with more than the longest delay", settled(&world.settle_one(&receiver, beyond).await)));
    }
    told
}

fn ended<T>(result: Result<T>) -> String {
    result.map_or_else(|error| format!("{:?}", error.kind()), |_| "ok".to_owned())
}

fn published(outcome: &PublishOutcome) -> String {
    match outcome {
        PublishOutcome::Accepted(_) => "accepted".to_owned(),
        PublishOutcome::Refused(error) => format!("refused: {:?}, retryable {}", error.kind(), error.is_retryable()),
        PublishOutcome::Unknown(error) => format!("unknown: {:?}", error.kind()),
    }
}

fn received(delivery: &Delivery) -> String {
    format!("receive {:?}, with a deadline {}", delivery.receive_count(), delivery.lease().deadline.is_some())
}

fn settled(outcome: &SettleOutcome) -> String {
    match outcome {
        SettleOutcome::Settled => "settled".to_owned(),
        SettleOutcome::Sent => "sent".to_owned(),
        SettleOutcome::LeaseLost => "lease lost".to_owned(),
        SettleOutcome::Failed(error) => format!("failed: {:?}", error.kind()),
    }
}

fn extended(outcomes: &[ExtendOutcome]) -> String {
    match outcomes {
        [ExtendOutcome::Until(_)] => "extended".to_owned(),
        [ExtendOutcome::Capped] => "capped".to_owned(),
        [ExtendOutcome::LeaseLost] => "lease lost".to_owned(),
        [ExtendOutcome::Failed(error)] => format!("failed: {:?}", error.kind()),
        _ => format!("{} outcomes for one token", outcomes.len()),
    }
}
