//! Topology: what is declared exists, and can be counted and emptied.

use crate::conformance::World;
use crate::conformance::consume::came;
use crate::{Declaration, Depth, Destination, ErrorKind, Group, Outgoing, SettleOutcome, Subscription};

super::cases! { "topology":
    declaring_again_changes_nothing_and_forgets_nothing,
    declaring_a_further_group_takes_nothing_from_the_others [Groups],
    a_name_that_would_be_a_destination_and_a_group_is_a_conflict_that_names_both [Groups],
    depth_counts_what_waits_and_what_is_in_flight [ExactDepth],
    depth_counts_what_is_delayed [ExactDepth, Delay],
    depth_comes_right_when_nothing_moves [Depth],
    depth_of_what_was_never_declared_is_not_found [Depth],
    a_bus_that_does_not_count_says_so [NoDepth],
    purge_removes_what_waits_and_the_bus_goes_on [Purge],
    purge_removes_what_is_delayed [Purge, Delay],
    purge_behind_a_message_in_flight_leaves_its_settlement_and_its_key_in_order [Purge],
    purge_of_what_was_never_declared_is_not_found [Purge],
    a_bus_that_does_not_purge_says_so [NoPurge],
}

fn to(destination: &Destination) -> Subscription {
    Subscription::to(destination.clone())
}

fn group() -> Group {
    Group::new("g").expect("a legal name")
}

async fn depth(world: &World, destination: &Destination) -> Depth {
    world.bus.depth(&to(destination)).await.expect("it is declared and this bus counts")
}

async fn purge(world: &World, destination: &Destination) {
    world.bus.purge(&to(destination)).await.expect("it is declared and this bus purges");
}

async fn declaring_again_changes_nothing_and_forgets_nothing(world: &World) {
    let destination = world.declared("again").await;
    let receivers = world.receivers::<1>(&destination).await;
    world.publish(&destination, &["1", "2"]).await;
    let held = world.take_one(&receivers[0]).await;
    let again = [Declaration::of(destination.clone()), Declaration::of(destination.clone())];
    for _ in 0..3 {
        world.bus.declare(&again).await.expect("it exists just so");
    }
    world.connect().await.declare(&again).await.expect("for another connection too");
    world.ack(&receivers[0], vec![held]).await;
    world.publish(&destination, &["3"]).await;
    let left = world.consume(&receivers, 2).await;
    assert_eq!(came(&left).len(), 2, "{left:?}");
}

async fn declaring_a_further_group_takes_nothing_from_the_others(world: &World) {
    let destination = world.declared("groups").await;
    world.publish(&destination, &["1"]).await;
    for groups in [vec![group()], vec![]] {
        let declaration = Declaration { destination: destination.clone(), groups };
        world.bus.declare(&[declaration]).await.expect("a group can be added");
    }
    world.publish(&destination, &["2"]).await;
    let mut default = came(&world.consume(&world.receivers::<1>(&destination).await, 2).await);
    default.sort();
    assert_eq!(default, ["1", "2"]);
    let grouped = world.receiver_of(&Subscription::grouped(destination, group()), world.options()).await;
    let found = world.consume_until(&[grouped], |events| came(events).contains(&"2".to_owned())).await;
    assert!(came(&found).len() <= 2, "{found:?}");
}

async fn a_name_that_would_be_a_destination_and_a_group_is_a_conflict_that_names_both(world: &World) {
    let grouped = |destination: &Destination| Declaration { destination: destination.clone(), groups: vec![group()] };
    let dotted = |name: &str| Declaration::of(world.undeclared(&format!("{name}.g")));
    for (name, first, second) in [
        ("one", dotted("one"), grouped(&world.undeclared("one"))),
        ("two", grouped(&world.undeclared("two")), dotted("two")),
    ] {
        world.bus.declare(&[first]).await.expect("the first of both is no conflict");
        let answer = world.bus.declare(&[second]).await;
        let Err(error) = answer else {
            panic!("`{name}.g` and group `g` of `{name}` were both accepted: on some brokers they are one queue")
        };
        assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
        let (text, group) = (error.to_string(), world.undeclared(&format!("{name}.g")).to_string());
        let rest = text.replace(&group, "");
        let destination = world.undeclared(name).to_string();
        assert!(text.contains(&group) && rest.contains(&destination), "{text} names {group} and {destination}");
    }
}

async fn depth_counts_what_waits_and_what_is_in_flight(world: &World) {
    let destination = world.declared("depth").await;
    assert_eq!(depth(world, &destination).await, Depth::default());
    world.publish(&destination, &["1", "2", "3", "4", "5"]).await;
    let receiver = world.receiver(&destination).await;
    let held = world.take(&receiver, 2).await;
    assert_eq!(depth(world, &destination).await, Depth { ready_count: 3, delayed_count: 0, in_flight_count: 2 });
    world.ack(&receiver, held).await;
    assert_eq!(depth(world, &destination).await, Depth { ready_count: 3, delayed_count: 0, in_flight_count: 0 });
    let rest = world.take(&receiver, 3).await;
    world.release(&receiver, rest).await;
    assert_eq!(depth(world, &destination).await, Depth { ready_count: 3, delayed_count: 0, in_flight_count: 0 });
}

async fn depth_counts_what_is_delayed(world: &World) {
    let destination = world.declared("depth-delayed").await;
    let delayed = Outgoing::new(destination.clone(), world.message("later")).delayed(2 * world.unit());
    world.publish_all(vec![delayed, Outgoing::new(destination.clone(), world.message("now"))]).await;
    assert_eq!(depth(world, &destination).await, Depth { ready_count: 1, delayed_count: 1, in_flight_count: 0 });
    world.consume(&world.receivers::<1>(&destination).await, 2).await;
    assert_eq!(depth(world, &destination).await, Depth::default());
}

async fn depth_comes_right_when_nothing_moves(world: &World) {
    let destination = world.declared("depth-in-the-end").await;
    world.publish(&destination, &["1", "2", "3", "4", "5"]).await;
    let receiver = world.receiver(&destination).await;
    let held = world.take(&receiver, 2).await;
    world.ack(&receiver, held).await;
    let coming_right = async {
        while depth(world, &destination).await.total_count() != 3 {
            world.sleep(world.unit() / 2).await;
        }
    };
    let is_right = world.in_time(coming_right).await.is_some();
    assert!(is_right, "3 are left, not {:?}", depth(world, &destination).await);
}

async fn depth_of_what_was_never_declared_is_not_found(world: &World) {
    let error = world.bus.depth(&to(&world.undeclared("nowhere"))).await.expect_err("nothing is there");
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
}

async fn a_bus_that_does_not_count_says_so(world: &World) {
    let error = world.bus.depth(&to(&world.declared("depth").await)).await.expect_err("this bus does not count");
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
}

async fn purge_removes_what_waits_and_the_bus_goes_on(world: &World) {
    let destination = world.declared("purge").await;
    let receivers = world.receivers::<1>(&destination).await;
    for round in ["1", "2", "3"] {
        let waiting: Vec<String> = (0..20).map(|number| format!("{round}-{number}")).collect();
        world.publish(&destination, &waiting.iter().map(String::as_str).collect::<Vec<_>>()).await;
        // One has been looked at before and waits again.
        world.release(&receivers[0], world.take(&receivers[0], 1).await).await;
        purge(world, &destination).await;
        world.nothing_comes(&receivers[0], &format!("round {round} was purged")).await;
        world.publish(&destination, &["after"]).await;
        assert_eq!(came(&world.consume(&receivers, 1).await), ["after"]);
    }
}

async fn purge_removes_what_is_delayed(world: &World) {
    let destination = world.declared("purge-delayed").await;
    let receivers = world.receivers::<1>(&destination).await;
    let delayed = Outgoing::new(destination.clone(), world.message("later")).delayed(world.unit());
    world.publish_all(vec![delayed]).await;
    purge(world, &destination).await;
    let after = Outgoing::new(destination.clone(), world.message("after")).delayed(2 * world.unit());
    world.publish_all(vec![after]).await;
    assert_eq!(came(&world.consume(&receivers, 1).await), ["after"]);
}

async fn purge_behind_a_message_in_flight_leaves_its_settlement_and_its_key_in_order(world: &World) {
    let destination = world.declared("purge-parked").await;
    let holder = world.receiver(&destination).await;
    world.publish_keyed(&destination, "a", &["1"]).await;
    let head = world.take_one(&holder).await;
    // Only now: a broker that sends ahead could have given it to either.
    let receivers = [holder, world.receiver(&destination).await];
    world.publish_keyed(&destination, "a", &["2", "3"]).await;
    // Looked at by somebody who may not have them where order is promised; back where not.
    world.release(&receivers[1], world.poll(&receivers[1]).await).await;
    purge(world, &destination).await;
    // It may have gone as well: then its settlement is lost, which is an answer too.
    let outcome = world.settle_one(&receivers[0], head.ack()).await;
    assert!(!matches!(outcome, SettleOutcome::Failed(_)), "{outcome:?}");
    world.publish_keyed(&destination, "a", &["4", "5"]).await;
    let mut found = came(&world.consume(&receivers, 2).await);
    found.sort();
    assert_eq!(found, ["4", "5"], "what waited behind it is gone, and what comes later is not held up");
    world.nothing_comes(&receivers[1], "all is acknowledged").await;
}

async fn purge_of_what_was_never_declared_is_not_found(world: &World) {
    let error = world.bus.purge(&to(&world.undeclared("nowhere"))).await.expect_err("nothing is there");
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
}

async fn a_bus_that_does_not_purge_says_so(world: &World) {
    let error = world.bus.purge(&to(&world.declared("purge").await)).await.expect_err("this bus does not purge");
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
}
