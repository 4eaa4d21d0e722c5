//! Publishing: how large a message and a batch may be.

use crate::conformance::World;
use crate::conformance::world::bodies;
use crate::{ErrorKind, Outgoing, PublishOutcome};

/// Ten messages of this size are beyond what SQS and Kafka take in one call.
const LARGE_BYTES: usize = 256 * 1024;

super::cases! { "publish":
    a_message_beyond_the_size_limit_is_refused_and_one_at_the_limit_is_not [SizeLimit],
    a_batch_beyond_the_byte_budget_of_a_call_is_split,
}

async fn a_message_beyond_the_size_limit_is_refused_and_one_at_the_limit_is_not(world: &World) {
    let destination = world.declared("sizes").await;
    let limit = world.capability().message_bytes_max.expect("the case needs it");
    let sized = |bytes: usize| Outgoing::new(destination.clone(), world.message(&"x".repeat(bytes)));
    let outcomes = world.bus.publish(vec![sized(limit - 1), sized(limit + 1), sized(limit)]).await;
    assert!(
        matches!(&outcomes[..], [PublishOutcome::Accepted(_), PublishOutcome::Refused(error), PublishOutcome::Accepted(_)]
            if error.kind() == ErrorKind::TooLarge && !error.is_retryable()),
        "the second alone has one byte too many: {outcomes:?}"
    );
    let receiver = world.receiver(&destination).await;
    let mut received: Vec<usize> = bodies(&world.take(&receiver, 2).await).iter().map(String::len).collect();
    received.sort_unstable();
    assert_eq!(received, [limit - 1, limit], "they arrive whole");
}

async fn a_batch_beyond_the_byte_budget_of_a_call_is_split(world: &World) {
    let destination = world.declared("budget").await;
    let limit = world.capability().message_bytes_max.unwrap_or(LARGE_BYTES).min(LARGE_BYTES);
    let nearly = limit - limit / 64;
    let sent: Vec<String> = ('a'..='j').map(|letter| letter.to_string().repeat(nearly)).collect();
    let batch = sent.iter().map(|body| Outgoing::new(destination.clone(), world.message(body)));
    world.publish_all(batch.collect()).await;
    let receiver = world.receiver(&destination).await;
    let mut received = bodies(&world.take(&receiver, sent.len()).await);
    received.sort();
    assert!(received == sent, "ten large messages arrive whole, each once");
}
