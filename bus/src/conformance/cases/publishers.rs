//! Publishing: by many at once, and given up half-way.

use std::collections::BTreeSet;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use tokio::task::JoinSet;

use crate::conformance::World;
use crate::{Destination, MessageId, Outgoing, PublishOutcome};

const PUBLISHER_COUNT: usize = 100;
const BATCH_COUNT: usize = 10;
const BATCH_SIZE: usize = 2;

super::cases! { "publish":
    a_hundred_concurrent_publishers_lose_nothing,
    a_cancelled_publish_leaves_each_message_on_the_bus_or_not_and_sending_again_loses_none,
}

async fn a_hundred_concurrent_publishers_lose_nothing(world: &World) {
    let destination = world.declared("crowd").await;
    let mut publishers = JoinSet::new();
    let mut sent = BTreeSet::new();
    for publisher in 0..PUBLISHER_COUNT {
        let (bus, mut batches) = (Arc::clone(&world.bus), Vec::new());
        for batch in 0..BATCH_COUNT {
            let bodies = (0..BATCH_SIZE).map(|number| format!("{publisher}/{batch}/{number}"));
            let messages = bodies.map(|body| world.keyed(&publisher.to_string(), &body));
            batches.push(messages.map(|message| Outgoing::new(destination.clone(), message)).collect::<Vec<_>>());
        }
        sent.extend(batches.iter().flatten().map(|outgoing| outgoing.message().id().clone()));
        publishers.spawn(async move {
            for batch in batches {
                let outcomes = bus.publish(batch).await;
                assert_eq!(outcomes.len(), BATCH_SIZE);
                assert!(outcomes.iter().all(PublishOutcome::is_accepted), "every message is good: {outcomes:?}");
            }
        });
    }
    assert_eq!(sent.len(), PUBLISHER_COUNT * BATCH_COUNT * BATCH_SIZE, "every id is its own");
    tokio::join!(drain(world, &destination, sent), async {
        while let Some(ended) = publishers.join_next().await {
            ended.expect("every batch is accepted whole");
        }
    });
}

/// Before its first poll, after it, and a little later.
async fn a_cancelled_publish_leaves_each_message_on_the_bus_or_not_and_sending_again_loses_none(world: &World) {
    let destination = world.declared("cancelled").await;
    let mut sent = BTreeSet::new();
    for poll_count in 0..4 {
        let messages = (0..11).map(|number| world.keyed("one", &format!("{poll_count}/{number}")));
        let batch: Vec<_> = messages.map(|message| Outgoing::new(destination.clone(), message)).collect();
        sent.extend(batch.iter().map(|outgoing| outgoing.message().id().clone()));
        give_up_after(poll_count, world.bus.publish(batch.clone())).await;
        world.publish_all(batch).await;
    }
    drain(world, &destination, sent).await;
}

/// Polls `call` so many times and drops it.
async fn give_up_after<F: Future>(poll_count: usize, call: F) {
    let mut call = pin!(call);
    for _ in 0..poll_count {
        let is_over = poll_fn(|context| Poll::Ready(call.as_mut().poll(context).is_ready())).await;
        if is_over {
            return;
        }
        tokio::task::yield_now().await;
    }
}

/// Receives and acks until all of `sent` came.
async fn drain(world: &World, destination: &Destination, mut sent: BTreeSet<MessageId>) {
    let receiver = world.receiver(destination).await;
    while !sent.is_empty() {
        let mut batch = vec![world.take_one(&receiver).await];
        batch.extend(world.poll(&receiver).await);
        for delivery in &batch {
            sent.remove(delivery.message().id());
        }
        world.ack(&receiver, batch).await;
    }
}
