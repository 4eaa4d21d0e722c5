//! Replays that end before they are done: nothing is lost.

use std::collections::BTreeSet;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use super::dead_letters::{all, bury, of};
use super::replays::slowly;
use crate::conformance::World;
use crate::conformance::world;
use crate::dead_letter::{DeadLetters, Ended, Filter, Progress, Replay};
use crate::layer::{Layer, LayerExt, ReceiverLayer, layered_receiver};
use crate::{
    Bus, Delivery, Outgoing, PublishOutcome, Receiver, Result, SettleOutcome, Settlement, SubscribeOptions,
    Subscription, Unsettled,
};

super::cases! { "dead letters":
    no_dead_letter_is_lost_wherever_its_replay_is_interrupted [DeadLetters],
    a_replay_that_is_shut_down_leaves_the_rest_among_the_dead_letters [DeadLetters],
}

async fn no_dead_letter_is_lost_wherever_its_replay_is_interrupted(world: &World) {
    let bus = Arc::clone(&world.bus).layer(Halting);
    let mut poll_count_max = 0;
    loop {
        let destination = world.declared(&format!("cut-{poll_count_max}")).await;
        bury(world, &destination, &["1", "2", "3"], "bad").await;
        bury(world, &destination, &["4"], "worse").await;
        let halting = DeadLetters::of(Arc::clone(&bus), &destination, world.seams.clone()).expect("needed");
        let halting = halting.with_patience(world.patience());
        let filter = Filter { reason_contains: Some("bad".to_owned()), ..Filter::default() };
        let replaying = halting.replay(Replay { filter, ..slowly() }, CancellationToken::new(), |_| ());
        let ended = polled_at_most(poll_count_max, replaying).await;
        let (graves, origin) = (world.graves(&destination).await, world.receiver(&destination).await);
        let found = world.poll_until([&graves, &origin], |[dead, back]| dead.len() + back.len() >= 4).await;
        let [dead, back] = found.map(|deliveries| world::bodies(&deliveries));
        let found: BTreeSet<&String> = dead.iter().chain(&back).collect();
        let told = format!("interrupted after {poll_count_max} polls, dead: {dead:?}, back: {back:?}");
        assert!(found.into_iter().eq(["1", "2", "3", "4"]), "lost: {told}");
        for bodies in [&dead, &back] {
            assert_eq!(bodies.iter().collect::<BTreeSet<_>>().len(), bodies.len(), "sent twice: {told}");
        }
        assert!(!back.contains(&"4".to_owned()), "not named: {told}");
        if let Some(replayed) = ended {
            assert_eq!(replayed.expect("declared").progress.replayed_count, 3);
            assert!(poll_count_max > 15, "it was interrupted {poll_count_max} times only");
            return;
        }
        poll_count_max += 1;
    }
}

async fn a_replay_that_is_shut_down_leaves_the_rest_among_the_dead_letters(world: &World) {
    let destination = world.declared("shutdown").await;
    bury(world, &destination, &["0"], "held while it runs").await;
    bury(world, &destination, &["1", "2", "3", "4"], "bad").await;
    let shutdown = CancellationToken::new();
    let stop = shutdown.clone();
    let after_two = move |progress: &Progress| {
        if progress.replayed_count == 2 {
            stop.cancel();
        }
    };
    let filter = Filter { reason_contains: Some("bad".to_owned()), ..Filter::default() };
    let replay = Replay { filter, ..slowly() };
    let replayed = of(world, &destination).replay(replay, shutdown, after_two).await.expect("declared");
    assert!(matches!(replayed.ended, Ended::ShutDown), "{replayed:?}");
    assert_eq!(replayed.progress.replayed_count, 2, "{replayed:?}");
    assert_eq!(world.take(&world.receiver(&destination).await, 2).await.len(), 2);
    assert_eq!(all(world, &destination).await.len(), 3);
}

/// Polls `work` at most so often.
async fn polled_at_most<F: Future>(count_max: usize, work: F) -> Option<F::Output> {
    let (mut work, mut count) = (pin!(work), 0);
    poll_fn(|context| {
        if count == count_max {
            return Poll::Ready(None);
        }
        count += 1;
        work.as_mut().poll(context).map(Some)
    })
    .await
}

/// Makes every call one that can be interrupted before and after it takes effect.
#[derive(Debug)]
struct Halting;

async fn halt() {
    tokio::task::yield_now().await;
}

#[async_trait]
impl Layer for Halting {
    async fn publish(&self, batch: Vec<Outgoing>, next: &dyn Bus) -> Vec<PublishOutcome> {
        halt().await;
        let outcomes = next.publish(batch).await;
        halt().await;
        outcomes
    }

    async fn subscribe(
        &self,
        subscription: &Subscription,
        options: SubscribeOptions,
        next: &dyn Bus,
    ) -> Result<Arc<dyn Receiver>> {
        halt().await;
        Ok(layered_receiver(next.subscribe(subscription, options).await?, Halting))
    }
}

#[async_trait]
impl ReceiverLayer for Halting {
    async fn receive(&self, max: usize, into: &mut Vec<Delivery>, next: &dyn Receiver) -> Result<()> {
        halt().await;
        next.receive(max, into).await
    }

    async fn settle(&self, batch: Vec<Settlement>, next: &dyn Receiver) -> Vec<SettleOutcome> {
        halt().await;
        let outcomes = next.settle(batch).await;
        halt().await;
        outcomes
    }

    async fn release(&self, unstarted: Vec<Unsettled>, next: &dyn Receiver) {
        halt().await;
        next.release(unstarted).await;
        halt().await;
    }
}
