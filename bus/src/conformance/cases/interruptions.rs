//! The pipeline over this bus, when something comes in between: a lease, an outage, a shutdown.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::conformance::World;
use crate::conformance::rig::{Counts, Happened, Rig};
use crate::pipeline::{Envelope, Failure, Policy};
use crate::{ClockExt, SubscribeOptions, Subscription};

super::cases! { "pipeline":
    a_handler_that_outlives_its_lease_keeps_its_delivery [ExtendableLease],
    a_handler_whose_lease_is_lost_is_cancelled_and_its_message_comes_again [FixedLease],
    a_dependency_that_is_down_burns_no_attempt,
    a_drain_lets_what_started_finish_and_gives_the_rest_back_at_once_and_unburned,
}

/// How long a lease is that was asked for: the bus may not let a receiver choose.
async fn lease_of(rig: &Rig<'_>, asked_for: Duration) -> Duration {
    let options = SubscribeOptions { lease: Some(asked_for), ..SubscribeOptions::default() };
    let receiver = rig.world.receiver_of(&Subscription::to(rig.destination.clone()), options).await;
    rig.world.publish(&rig.destination, &["probe"]).await;
    let probe = rig.world.take_one(&receiver).await;
    let deadline = probe.lease().deadline.expect("a lease that ends says when");
    let lease = deadline.since(rig.world.seams.clock.now());
    rig.world.ack(&receiver, vec![probe]).await;
    lease
}

async fn a_handler_that_outlives_its_lease_keeps_its_delivery(world: &World) {
    let rig = Rig::new(world, "heartbeat").await;
    let asked_for = 2 * world.unit();
    let cap = world.capability().lease.total_max.unwrap_or(Duration::MAX);
    let takes = (3 * lease_of(&rig, asked_for).await).min(cap / 2);
    world.publish(&rig.destination, &["1"]).await;
    let clock = Arc::clone(&world.seams.clock);
    let work = move |_| {
        let clock = Arc::clone(&clock);
        async move {
            clock.sleep(takes).await;
            Ok(())
        }
    };
    rig.settle(rig.pipeline(Policy { lease: Some(asked_for), ..rig.policy() }, work), 1).await;
    assert_eq!(rig.log.attempts_of("1"), [1], "nobody else got it meanwhile");
    world.nothing_comes(&world.receiver(&rig.destination).await, "it was settled").await;
}

async fn a_handler_whose_lease_is_lost_is_cancelled_and_its_message_comes_again(world: &World) {
    let rig = Rig::new(world, "lost").await;
    let asked_for = world.unit();
    let lease = lease_of(&rig, asked_for).await;
    world.publish(&rig.destination, &["1"]).await;
    let work = async |envelope: Envelope| match envelope.attempt() {
        1 => std::future::pending().await,
        _ => Ok(()),
    };
    let (pipeline, published_at) =
        (rig.pipeline(Policy { lease: Some(asked_for), ..rig.policy() }, work), world.seams.clock.now());
    rig.settle(pipeline, 1).await;
    let steps = rig.log.steps();
    let happened: Vec<&Happened> = steps.iter().map(|step| &step.what).collect();
    assert!(
        matches!(
            happened[..],
            [
                Happened::Started(1),
                Happened::Cancelled,
                Happened::Started(2),
                Happened::Answered(Ok(())),
                Happened::Settled
            ]
        ),
        "{happened:?}"
    );
    assert!(steps[1].at.since(published_at) >= lease, "it is the handler's until its lease ends");
}

async fn a_dependency_that_is_down_burns_no_attempt(world: &World) {
    let rig = Rig::new(world, "down").await;
    world.publish(&rig.destination, &["1", "2"]).await;
    let log = rig.log.clone();
    let work = move |_| {
        // Two failed probes after the first failure, and then it is back.
        let is_down = log.count(|what| matches!(what, Happened::Answered(Err(_)))) < 3;
        std::future::ready(if is_down { Err(Failure::Unavailable("the store".to_owned())) } else { Ok(()) })
    };
    let policy = Policy { attempt_count_max: 1, concurrency_max: 1, ..rig.policy() };
    rig.settle(rig.pipeline(policy, work).with_attempts(Arc::<Counts>::default()), 2).await;
    let attempts: BTreeSet<u32> = ["1", "2"].iter().flat_map(|body| rig.log.attempts_of(body)).collect();
    assert_eq!(attempts, BTreeSet::from([1]), "every start was the first");
}

async fn a_drain_lets_what_started_finish_and_gives_the_rest_back_at_once_and_unburned(world: &World) {
    let rig = Rig::new(world, "drain").await;
    let sent = ["1", "2", "3", "4", "5", "6"];
    world.publish(&rig.destination, &sent).await;
    let finish = CancellationToken::new();
    let work = {
        let finish = finish.clone();
        move |_| finish.clone().cancelled_owned()
    };
    let work = move |envelope| {
        let finished = work(envelope);
        async {
            finished.await;
            Ok(())
        }
    };
    let counts: Arc<Counts> = Arc::default();
    let policy = Policy { concurrency_max: 2, drain: 20 * world.unit(), ..rig.policy() };
    let pipeline = rig.pipeline(policy, work).with_attempts(counts.clone());
    let next_process = async |stop: &CancellationToken| {
        let started = |what: &Happened| matches!(what, Happened::Started(_));
        rig.until("two handlers started", || rig.log.count(started) == 2).await;
        let stopped_at = world.seams.clock.now();
        stop.cancel();
        let other = world.connect().await;
        let receiver = world.receiver_on(&other, &rig.destination).await;
        let unstarted = world.take(&receiver, 4).await;
        world.assert_at_once(stopped_at);
        world.release(&receiver, unstarted).await;
        receiver.close().await;
        assert_eq!(rig.log.count(|what| matches!(what, Happened::Answered(_))), 0, "two are running still");
        finish.cancel();
    };
    rig.run(pipeline, next_process).await;
    assert_eq!(rig.log.count(|what| *what == Happened::Settled), 2, "what had started was settled");
    rig.settle(rig.pipeline(rig.policy(), |_| std::future::ready(Ok(()))).with_attempts(counts), 6).await;
    for body in sent {
        assert_eq!(rig.log.attempts_of(body), [1], "{body} started once");
    }
}
