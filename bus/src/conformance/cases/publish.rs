//! Publishing: what an outcome means.

use crate::conformance::World;
use crate::conformance::world::bodies;
use crate::{ErrorKind, Outgoing, PublishOutcome};

super::cases! { "publish":
    batches_of_1_10_11_and_1000_are_accepted_whole_and_in_order,
    one_bad_message_of_a_batch_fails_alone_and_in_its_place,
    a_message_beyond_the_size_limit_is_refused_and_one_at_the_limit_is_not [SizeLimit],
}

async fn batches_of_1_10_11_and_1000_are_accepted_whole_and_in_order(world: &World) {
    for count in [1, 10, 11, 1_000] {
        let destination = world.declared(&format!("batch-{count}")).await;
        let sent: Vec<String> = (0..count).map(|number| number.to_string()).collect();
        let batch = sent.iter().map(|body| Outgoing::new(destination.clone(), world.keyed("one", body)));
        world.publish_all(batch.collect()).await;
        let receiver = world.receiver(&destination).await;
        let mut received = Vec::new();
        while received.len() < sent.len() {
            let batch = world.take(&receiver, (sent.len() - received.len()).min(100)).await;
            received.extend(bodies(&batch));
            world.ack(&receiver, batch).await;
        }
        received.sort_by_key(|body| body.parse::<usize>().expect("a number was sent"));
        assert_eq!(received, sent, "a batch of {count}");
    }
}

async fn one_bad_message_of_a_batch_fails_alone_and_in_its_place(world: &World) {
    let (good, bad) = (world.declared("good").await, world.undeclared("bad"));
    let batch = vec![
        Outgoing::new(good.clone(), world.message("1")),
        Outgoing::new(bad, world.message("2")),
        Outgoing::new(good.clone(), world.message("3")),
    ];
    let outcomes = world.bus.publish(batch).await;
    assert!(
        matches!(&outcomes[..], [PublishOutcome::Accepted(_), PublishOutcome::Refused(error), PublishOutcome::Accepted(_)]
            if error.kind() == ErrorKind::NotFound),
        "{outcomes:?}"
    );
    let receiver = world.receiver(&good).await;
    let mut received = bodies(&world.take(&receiver, 2).await);
    received.sort();
    assert_eq!(received, ["1", "3"]);
}

async fn a_message_beyond_the_size_limit_is_refused_and_one_at_the_limit_is_not(world: &World) {
    let destination = world.declared("sizes").await;
    let limit = world.capability().message_bytes_max.expect("the case needs it");
    let sized = |bytes: usize| Outgoing::new(destination.clone(), world.message(&"x".repeat(bytes)));
    world.publish_all(vec![sized(limit - 1), sized(limit)]).await;
    let outcomes = world.bus.publish(vec![sized(limit + 1)]).await;
    assert!(
        matches!(&outcomes[..], [PublishOutcome::Refused(error)]
            if error.kind() == ErrorKind::TooLarge && !error.is_retryable()),
        "{outcomes:?}"
    );
    let receiver = world.receiver(&destination).await;
    let mut received: Vec<usize> = bodies(&world.take(&receiver, 2).await).iter().map(String::len).collect();
    received.sort_unstable();
    assert_eq!(received, [limit - 1, limit], "they arrive whole");
}
