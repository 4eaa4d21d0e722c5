//! The world itself, without the order system.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bus::{Bus, ClockExt, Declaration, Destination, SubscribeOptions, Subscription};
use simulator::broker::{Broker, Connection, Model};
use simulator::gate::{Gate, Side};
use simulator::gated::gated;
use simulator::node::{Life, Node};
use simulator::{Stuck, simulate};

const HOUR: Duration = Duration::from_secs(3_600);

#[test]
fn what_is_due_first_happens_first_to_the_nanosecond() {
    let run = simulate(1, HOUR, async |world| {
        let order: Mutex<Vec<u64>> = Mutex::default();
        let after = async |nanoseconds: u64| {
            world.seams().clock.sleep(Duration::from_nanos(nanoseconds)).await;
            order.lock().unwrap().push(nanoseconds);
        };
        futures_util::join!(after(3), after(1), after(2), after(1));
        assert_eq!(world.clock().nanoseconds(), 3);
        order.into_inner().unwrap()
    });
    assert_eq!(run.ended, Ok(vec![1, 1, 2, 3]));
}

#[test]
fn where_nothing_moves_it_is_stuck_and_says_who_waits_for_what() {
    let run = simulate(1, HOUR, async |world| {
        let node = Node::new(&world, "shop");
        let gate = Gate::new(&node, Duration::ZERO, BTreeMap::new());
        let broker = Broker::new(Model::RabbitMq.semantics(), world.seams());
        let orders = Destination::new("orders").unwrap();
        let bus = broker.connect();
        bus.declare(&[Declaration::of(orders.clone())]).await.unwrap();
        let receiver = bus.subscribe(&Subscription::to(orders), SubscribeOptions::default()).await.unwrap();
        let mut into = Vec::new();
        gate.call(&Life::default(), "receive", "orders", receiver.receive(1, &mut into)).await
    });
    let Err(Stuck::Waiting { who }) = run.ended.map(drop) else { panic!("nothing can come") };
    assert_eq!(who, ["shop: receive"]);
}

#[test]
fn what_only_retries_is_stuck_at_the_horizon() {
    let run = simulate(1, HOUR, async |world| {
        loop {
            world.seams().clock.sleep(Duration::from_secs(1)).await;
        }
    });
    let stuck: Result<(), Stuck> = run.ended;
    assert!(matches!(stuck, Err(Stuck::Waiting { .. })));
    assert!(run.virtual_time >= HOUR);
}

#[test]
fn a_scenario_that_panics_is_a_verdict_with_its_text() {
    let run = simulate(1, HOUR, async |_| panic!("no such order"));
    assert_eq!(run.ended, Err::<(), _>(Stuck::Panicked("no such order".to_owned())));
}

#[test]
fn a_crash_ends_a_life_and_the_next_one_has_another_generation() {
    let run = simulate(1, HOUR, async |world| {
        let node = Node::new(&world, "shop");
        let gate = Gate::new(&node, Duration::ZERO, [(2, Side::Before), (4, Side::After)].into());
        let (effects, losses) = (AtomicU32::new(0), AtomicU32::new(0));
        let work = async |life: Life| {
            loop {
                let effect = async { effects.fetch_add(1, Ordering::Relaxed) };
                gate.call(&life, "work", "", effect).await;
                world.seams().clock.sleep(Duration::from_secs(1)).await;
            }
        };
        let lose = |life: &Life| {
            assert!(life.is_over(), "the life ends before the losses are taken");
            losses.fetch_add(1, Ordering::Relaxed);
        };
        let lives = node.run(Duration::from_secs(5), work, lose);
        let ended = world.seams().clock.timeout_here(Duration::from_secs(14), lives).await;
        assert_eq!(ended, None, "it starts again and again");
        assert_eq!(gate.death_counts(), [1, 1]);
        let calls = u32::try_from(gate.call_count()).unwrap();
        assert_eq!(effects.into_inner(), calls - 1, "the call it died before had no effect, the other had");
        (node.generation(), losses.into_inner())
    });
    assert_eq!(run.ended, Ok((3, 2)));
}

#[test]
fn a_death_that_is_due_after_the_node_was_spared_never_comes() {
    for (jitter, side) in [(Duration::ZERO, Side::After), (Duration::from_secs(20), Side::Before)] {
        let run = simulate(1, HOUR, async |world| {
            let node = Node::new(&world, "shop");
            let gate = Gate::new(&node, jitter, [(1, side)].into());
            gate.dies_at("work", 1, side);
            let clock = world.seams().clock;
            let work = async { gate.call(&Life::default(), "work", "", clock.sleep(Duration::from_secs(60))).await };
            let spare = async { gate.spare() };
            futures_util::future::join(work, spare).await;
            (gate.death_counts(), gate.deaths_to_come(), gate.spared_at())
        });
        let to_come = vec!["call 1".to_owned(), "work 1".to_owned()];
        assert_eq!(run.ended, Ok(([0, 0], to_come, Some(1))), "{side:?}");
    }
}

/// Of the old life, everything: its deliveries, its receiver, its connection.
#[test]
fn a_severed_connection_has_no_effect_any_more_and_its_deliveries_come_again() {
    for model in Model::ALL {
        let run = simulate(1, HOUR, async |world| {
            let broker = Broker::new(model.semantics(), world.seams());
            let orders = Destination::new("orders").unwrap();
            let (old, new) = (broker.connect(), broker.connect());
            old.declare(&[Declaration::of(orders.clone())]).await.unwrap();
            let message = bus::Message::new(world.seams().message_id("1"), &b"1"[..]);
            assert!(old.publish(vec![bus::Outgoing::new(orders.clone(), message)]).await[0].is_accepted());
            let subscription = Subscription::to(orders);
            let receiver = old.subscribe(&subscription, SubscribeOptions::default()).await.unwrap();
            let mut held = Vec::new();
            receiver.receive(1, &mut held).await.unwrap();
            old.sever();
            let late = receiver.settle(held.drain(..).map(bus::Delivery::ack).collect()).await;
            drop((receiver, old));
            let is_bound = model.semantics().is_bound_to_connection;
            assert_eq!(late[0].is_settled(), !is_bound, "what holds on by a lease may be settled until it ends");
            let receiver = new.subscribe(&subscription, SubscribeOptions::default()).await.unwrap();
            let again = receiver.receive(1, &mut held);
            world.seams().clock.timeout(Duration::from_secs(60), again).await.is_some()
        });
        assert_eq!(run.ended, Ok(model.semantics().is_bound_to_connection), "{}", model.name());
    }
}

#[test]
fn a_process_can_die_at_any_of_its_calls_to_a_gated_bus() {
    let run = simulate(1, HOUR, async |world| {
        let (node, broker) = (Node::new(&world, "shop"), Broker::new(Model::RabbitMq.semantics(), world.seams()));
        let gate = Gate::new(&node, Duration::ZERO, BTreeMap::new());
        let orders = Destination::new("orders").unwrap();
        let subscription = Subscription::to(orders.clone());
        let work = async |connection: Arc<Connection>, life: Life| {
            let bus = gated(connection, &gate, &life);
            bus.declare(&[Declaration::of(orders.clone())]).await.unwrap();
            let message = bus::Message::new(world.seams().message_id("1"), &b"1"[..]);
            assert!(bus.publish(vec![bus::Outgoing::new(orders.clone(), message)]).await[0].is_accepted());
            bus.depth(&subscription).await.unwrap();
            let receiver = bus.subscribe(&subscription, SubscribeOptions::default()).await.unwrap();
            let mut held = Vec::new();
            receiver.receive(1, &mut held).await.unwrap();
            receiver.release(held.drain(..).map(|delivery| delivery.split().1).collect()).await;
            receiver.receive(1, &mut held).await.unwrap();
            receiver.extend(&[held[0].token()], Duration::from_secs(1)).await;
            receiver.settle(held.drain(..).map(bus::Delivery::ack).collect()).await;
            bus.purge(&subscription).await.unwrap();
        };
        world.seams().clock.timeout_here(Duration::from_secs(1), node.run_on(&broker, HOUR, work, |_| ())).await;
        gate.call_count()
    });
    let calls = "declare, publish, depth, subscribe, receive, release, receive, extend, settle and purge";
    assert_eq!(run.ended, Ok(10), "{calls}");
}

/// A receiver and a delivery give back what they have when they are dropped; those of the dead do not.
#[test]
fn what_a_dead_process_held_by_a_lease_comes_again_when_that_ends_and_not_by_a_destructor() {
    let run = simulate(1, HOUR, async |world| {
        let (node, broker) = (Node::new(&world, "shop"), Broker::new(Model::Sqs.semantics(), world.seams()));
        let orders = Destination::new("orders").unwrap();
        broker.connect().declare(&[Declaration::of(orders.clone())]).await.unwrap();
        assert!(broker.publish_foreign(&orders, &bus::Message::new(world.seams().message_id("1"), &b"1"[..])));
        let received: Mutex<Vec<Duration>> = Mutex::default();
        let work = async |connection: Arc<Connection>, _: Life| {
            let subscription = Subscription::to(orders.clone());
            let receiver = connection.subscribe(&subscription, SubscribeOptions::default()).await.unwrap();
            let mut held = Vec::new();
            receiver.receive(1, &mut held).await.unwrap();
            received.lock().unwrap().push(Duration::from_nanos(world.clock().nanoseconds()));
            std::future::pending::<()>().await;
        };
        let kill = async {
            world.seams().clock.sleep(Duration::from_secs(1)).await;
            node.crash();
        };
        let lives = node.run_on(&broker, Duration::from_secs(1), work, |_| ());
        let both = Box::pin(async { futures_util::join!(lives, kill) });
        world.seams().clock.timeout_here(Duration::from_secs(100), both).await;
        received.into_inner().unwrap()
    });
    assert_eq!(run.ended, Ok(vec![Duration::ZERO, Duration::from_secs(30)]));
}

#[test]
fn dice_are_keyed_by_the_seed() {
    let draw = |seed| simulate(seed, HOUR, async |world| world.chance().draw("a", "b")).ended.unwrap();
    assert_eq!(draw(1), draw(1));
    assert_ne!(draw(1), draw(2));
}
