//! Outages: a broker that goes away and comes back, under load.

use std::time::Duration;

use crate::conformance::consume::came;
use crate::conformance::storm::Storm;
use crate::conformance::world::{bodies, body};
use crate::conformance::{Outages, World};
use crate::{Outgoing, PublishOutcome, SettleOutcome, Settlement, SubscribeOptions, Subscription};

super::cases! { "outage":
    a_broker_killed_and_restarted_twice_under_load_loses_nothing_it_accepted [Outages],
    connections_cut_twice_under_load_lose_nothing_that_was_accepted [Outages],
    a_stall_under_load_loses_nothing_that_was_accepted [Outages],
    the_bus_recovers_by_itself_and_an_open_receiver_goes_on [Outages],
    settlements_across_a_cut_are_answered_truly [Outages],
}

const KILL_COUNT: usize = 10_000;
const CUT_COUNT: usize = 2_000;

fn outages(world: &World) -> &dyn Outages {
    world.harness().outages().expect("the case needs it")
}

async fn a_broker_killed_and_restarted_twice_under_load_loses_nothing_it_accepted(world: &World) {
    let takes_state = !outages(world).state_survives_kill();
    let storm = Storm::on(world, "kill", takes_state).await;
    storm.blow(KILL_COUNT, async || outages(world).kill_and_restart().await).await;
}

async fn connections_cut_twice_under_load_lose_nothing_that_was_accepted(world: &World) {
    let storm = Storm::on(world, "cut", false).await;
    storm.blow(CUT_COUNT, async || outages(world).cut().await).await;
}

async fn a_stall_under_load_loses_nothing_that_was_accepted(world: &World) {
    let storm = Storm::on(world, "stall", false).await;
    storm.blow(CUT_COUNT, async || outages(world).stall(3 * world.unit()).await).await;
}

async fn the_bus_recovers_by_itself_and_an_open_receiver_goes_on(world: &World) {
    let destination = world.declared("recovers").await;
    let receiver = world.receiver(&destination).await;
    let mut into = Vec::new();
    let cut_while_waiting = async {
        world.sleep(world.unit() / 10).await;
        outages(world).cut().await;
        loop {
            let outcomes = world.bus.publish(vec![Outgoing::new(destination.clone(), world.message("1"))]).await;
            if outcomes.iter().all(PublishOutcome::is_accepted) {
                return;
            }
            world.sleep(world.unit() / 10).await;
        }
    };
    let receiving = async {
        while into.is_empty() {
            // An error tells of the cut; the next call is of the new connection.
            if receiver.receive(1, &mut into).await.is_err() {
                world.sleep(world.unit() / 10).await;
            }
        }
    };
    let both = async { tokio::join!(receiving, cut_while_waiting) };
    let is_back = world.in_time(both).await.is_some();
    assert!(is_back, "nothing was accepted, or nothing came, after the connection was cut");
    assert_eq!(bodies(&into), ["1"]);
    world.ack(&receiver, into).await;
}

async fn settlements_across_a_cut_are_answered_truly(world: &World) {
    let destination = world.declared("settlements").await;
    let options = SubscribeOptions { lease: Some(3 * world.unit()), ..SubscribeOptions::default() };
    let receiver = world.receiver_of(&Subscription::to(destination.clone()), options).await;
    let sent: Vec<String> = (0..20).map(|number| number.to_string()).collect();
    world.publish(&destination, &sent.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let held = world.take(&receiver, sent.len()).await;
    let leased_until = held.iter().filter_map(|delivery| delivery.lease().deadline).max();
    let mut decided = Vec::new();
    let mut batches: [Vec<Settlement>; 2] = Default::default();
    for (place, delivery) in held.into_iter().enumerate() {
        let is_ack = place % 2 == 0;
        decided.push((body(&delivery), is_ack));
        let settlement = if is_ack { delivery.ack() } else { delivery.nack(Duration::ZERO) };
        batches[usize::from(place >= sent.len() / 2)].push(settlement);
    }
    let [under_way, afterwards] = batches;
    let (mut outcomes, ()) = tokio::join!(receiver.settle(under_way), outages(world).cut());
    outcomes.extend(receiver.settle(afterwards).await);
    assert_eq!(outcomes.len(), decided.len(), "one outcome for each settlement");
    if let Some(deadline) = leased_until {
        // What was settled in vain is back by now.
        world.seams.clock.sleep_until(deadline + world.unit()).await;
    }
    let again = |(_, is_ack): &(String, bool), outcome: &SettleOutcome| match outcome {
        SettleOutcome::LeaseLost => Some(true),
        SettleOutcome::Settled => Some(!is_ack),
        SettleOutcome::Sent | SettleOutcome::Failed(_) => None,
    };
    let answered: Vec<(String, Option<bool>)> = decided
        .iter()
        .zip(&outcomes)
        .map(|(decision, outcome)| (decision.0.clone(), again(decision, outcome)))
        .collect();
    let owed: Vec<&String> = answered.iter().filter(|(_, again)| *again == Some(true)).map(|(body, _)| body).collect();
    let receivers = [receiver];
    let events = world.consume_until(&receivers, |events| owed.iter().all(|body| came(events).contains(body))).await;
    let mut found = came(&events);
    found.extend(bodies(&world.poll(&receivers[0]).await));
    for (body, again) in answered {
        assert!(again != Some(false) || !found.contains(&body), "{body} was settled and came again: {outcomes:?}");
    }
}
