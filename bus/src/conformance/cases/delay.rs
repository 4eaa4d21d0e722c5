//! Delays: not early, and not for ever. How late is reported and never asserted.

use std::time::Duration;

use crate::conformance::World;
use crate::conformance::consume::{came, came_at};
use crate::{Destination, ErrorKind, Moment, Outgoing, PublishOutcome};

super::cases! { "delay":
    a_delayed_message_is_not_early_and_comes [Delay],
    each_delay_of_a_batch_passes_at_its_own_time [Delay],
    a_delay_beyond_the_cap_is_unsupported_and_the_rest_of_its_batch_passes [Delay],
    a_delay_survives_a_restart [Durable, Delay],
    without_delays_a_delayed_message_is_unsupported_and_the_rest_of_its_batch_passes [NoDelay],
}

fn delayed(world: &World, destination: &Destination, body: &str, delay: Duration) -> Outgoing {
    Outgoing::new(destination.clone(), world.message(body)).delayed(delay)
}

fn report_lateness(world: &World, body: &str, due: Moment, came_at: Moment) {
    world.report(&format!("{body} came {:?} after it was due", came_at.since(due)));
}

async fn a_delayed_message_is_not_early_and_comes(world: &World) {
    let destination = world.declared("delayed").await;
    let receivers = world.receivers::<1>(&destination).await;
    let due = world.seams.clock.now() + 3 * world.unit();
    world.publish_all(vec![delayed(world, &destination, "later", 3 * world.unit())]).await;
    let events = world.consume(&receivers, 1).await;
    let at = came_at(&events, "later");
    assert!(at >= due, "{:?} early", due.since(at));
    report_lateness(world, "later", due, at);
}

async fn each_delay_of_a_batch_passes_at_its_own_time(world: &World) {
    let destination = world.declared("delays").await;
    let receivers = world.receivers::<1>(&destination).await;
    let delays =
        [("fifth", 5), ("at once", 0), ("third", 3), ("first", 1)].map(|(body, units)| (body, units * world.unit()));
    let start = world.seams.clock.now();
    world.publish_all(delays.map(|(body, delay)| delayed(world, &destination, body, delay)).to_vec()).await;
    let events = world.consume(&receivers, delays.len()).await;
    for (body, delay) in delays {
        let (due, at) = (start + delay, came_at(&events, body));
        assert!(at >= due, "{body} was {:?} early", due.since(at));
        report_lateness(world, body, due, at);
    }
    assert_eq!(came(&events), ["at once", "first", "third", "fifth"], "a longer delay holds no shorter one up");
}

async fn a_delay_beyond_the_cap_is_unsupported_and_the_rest_of_its_batch_passes(world: &World) {
    let cap = world.capability().delay_max.expect("the case needs it");
    let Some(beyond) = cap.checked_add(Duration::from_secs(1)) else { return };
    one_is_refused_alone(world, beyond).await;
}

async fn without_delays_a_delayed_message_is_unsupported_and_the_rest_of_its_batch_passes(world: &World) {
    one_is_refused_alone(world, world.unit()).await;
}

async fn one_is_refused_alone(world: &World, delay: Duration) {
    let destination = world.declared("beyond").await;
    let receivers = world.receivers::<1>(&destination).await;
    let batch = vec![
        delayed(world, &destination, "1", Duration::ZERO),
        delayed(world, &destination, "2", delay),
        delayed(world, &destination, "3", Duration::ZERO),
    ];
    let outcomes = world.bus.publish(batch).await;
    assert!(
        matches!(&outcomes[..], [PublishOutcome::Accepted(_), PublishOutcome::Refused(error), PublishOutcome::Accepted(_)]
            if error.kind() == ErrorKind::Unsupported && !error.is_retryable()),
        "{outcomes:?}"
    );
    let mut found = came(&world.consume(&receivers, 2).await);
    found.sort();
    assert_eq!(found, ["1", "3"]);
}

async fn a_delay_survives_a_restart(world: &World) {
    let destination = world.declared("restart").await;
    let due = world.seams.clock.now() + 3 * world.unit();
    world.publish_all(vec![delayed(world, &destination, "later", 3 * world.unit())]).await;
    let bus = world.reconnect().await;
    let receivers = [world.receiver_on(&bus, &destination).await];
    let at = came_at(&world.consume(&receivers, 1).await, "later");
    assert!(at >= due, "{:?} early", due.since(at));
    report_lateness(world, "later", due, at);
}
