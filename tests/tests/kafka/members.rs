//! Several members on one store, and what is done about a second store.

use tests::orders::{Crew, Place, Process};

/// How many orders three members process while they come and go, unless told otherwise.
const ORDER_COUNT: usize = 2_000;

fn order_count() -> usize {
    let told = std::env::var("MEMBERS_ORDER_COUNT").ok();
    told.map_or(ORDER_COUNT, |told| told.parse().expect("MEMBERS_ORDER_COUNT is a number"))
}

pub(crate) async fn the_recorded_flow_runs_with_three_members_that_share_the_partitions() {
    let place = Place::on(&tests::brokers::url("kafka")).with(&["--members", "3"]);
    let process = place.start_ready().await;
    for queue in [&place.order_queue, &place.sync_queue] {
        place
            .site
            .eventually("three members have partitions", async || {
                let mine = |line: &serde_json::Value| line["message"] == "assigned" && line["subscription"] == **queue;
                let has_some = |line: &serde_json::Value| line["partitions"] != "[]";
                place.site.log_lines().iter().filter(|line| mine(line) && has_some(line)).count() >= 3
            })
            .await;
    }
    place.follows_the_recorded_order().await;
    place.takes_many_more(200).await;
    assert!(process.terminate().success(), "{}", place.site.log_tail());
}

/// Each step comes when a further part of the orders has taken effect, so that the load goes on.
pub(crate) async fn members_on_one_store_come_and_go_under_load_and_each_order_takes_effect_once() {
    let count = order_count();
    let url = tests::brokers::url("kafka");
    let place = Place::on(&url).with(&["--role", "producer", "--log", "warn"]);
    let producer = place.start(&[]);
    place
        .site
        .eventually("the producer is ready", async || place.site.get(&place.site.producer("/readyz")).await.is_some())
        .await;
    let crew = Crew::at(&place, &url).await;
    let (first, second, third) = (crew.join(), crew.join(), crew.join());
    place
        .site
        .eventually("each has a share", async || [&first, &second, &third].iter().all(|hand| hand.has_a_share()))
        .await;
    let clients = place.place_orders(count);

    place.until_shipped(count / 8).await;
    second.leave().await;
    place.until_shipped(count * 2 / 8).await;
    let second = crew.join();
    place.until_shipped(count * 3 / 8).await;
    // It vanishes with what it has in hand.
    drop(first);
    place.until_shipped(count * 4 / 8).await;
    let (first, fourth) = (crew.join(), crew.join());
    third.leave().await;
    place.until_shipped(count * 5 / 8).await;
    // None is left, and the load waits for the next.
    tokio::join!(first.leave(), second.leave(), fourth.leave());
    let crew_of_three = [crew.join(), crew.join(), crew.join()];

    place.until_shipped(count).await;
    clients.join_all().await;
    place.all_completed().await;
    place.agrees_on(count).await;
    for hand in crew_of_three {
        hand.leave().await;
    }
    crew.end().await;
    assert!(producer.terminate().success(), "{}", place.site.log_tail());
}

/// The consumer of another place on the same queues, with the producer of the first.
fn start_beside(other: &Place, first: &Place) -> Process {
    other.start(&["--role", "consumer", "--producer-url", &first.site.producer("")])
}

async fn is_ready(place: &Place) -> bool {
    place.site.get(&place.site.consumer("/readyz")).await.is_some()
}

/// Waits until a process has ended because of another store; answers its own store and the other.
async fn refused(place: &Place, mut process: Process) -> (String, String) {
    place.site.eventually("it ends", async || process.ended().is_some()).await;
    assert_eq!(process.wait().code(), Some(1), "{}", place.site.log_tail());
    let told = place.events("stopping").pop().expect("it says why");
    let why = told["why"].as_str().expect("a text");
    assert!(why.contains("keeps its effects in another store") && why.contains("stop that member"), "{why}");
    let named = |name: &str| {
        let (_, rest) = why.split_once(&format!(" {name}=")).unwrap_or_else(|| panic!("no {name} in {why}"));
        rest.trim_end_matches(']').split(", ").next().expect("a value").to_owned()
    };
    (named("store"), named("other_store"))
}

pub(crate) async fn a_second_store_is_refused_while_a_member_with_another_is_live_and_then_takes_over() {
    let first = Place::on(&tests::brokers::url("kafka"));
    let second = first.beside();
    let running = first.start_ready().await;
    first.follows_the_recorded_order().await;
    let (own, other) = refused(&second, start_beside(&second, &first)).await;
    assert_ne!(own, other);
    first.takes_many_more(20).await;
    assert!(running.terminate().success(), "{}", first.site.log_tail());

    let running = start_beside(&second, &first);
    second.site.eventually("it has taken over", async || is_ready(&second).await).await;
    let told = second.events("group_taken_over");
    for group in [&first.order_queue, &first.sync_queue] {
        let told = told.iter().find(|line| line["group"] == **group).unwrap_or_else(|| panic!("{group}: {told:?}"));
        assert_eq!(told["store"], *own, "{told}");
        assert!(told["offsets"].as_str().is_some_and(|offsets| offsets.contains(':')), "{told}");
    }
    let again = refused(&first, start_beside(&first, &first)).await;
    assert_eq!(again, (other, own), "it is the other way round now");
    assert!(running.terminate().success(), "{}", second.site.log_tail());

    let running = start_beside(&second, &first);
    second.site.eventually("it is back", async || is_ready(&second).await).await;
    assert_eq!(second.events("group_taken_over"), told, "the groups were its own before");
    assert!(running.terminate().success(), "{}", second.site.log_tail());
}

/// A process that stood still is out of the group, and another store may take over. When it goes on, it
/// finds that out and ends.
pub(crate) async fn a_member_that_comes_back_to_the_group_of_another_store_leaves_it() {
    let first = Place::on(&format!("{}?session=6s", tests::brokers::url("kafka")));
    let second = first.beside();
    let producer = first.start(&["--role", "producer"]);
    let mut still = first.site.until_ready(first.start(&["--role", "consumer"])).await;
    first.follows_the_recorded_order().await;
    still.signal("STOP");
    let mut running = start_beside(&second, &first);
    second
        .site
        .eventually("it has taken over", async || {
            if running.ended().is_some() {
                running = start_beside(&second, &first);
            }
            is_ready(&second).await
        })
        .await;
    still.signal("CONT");
    first.site.eventually("it ends", async || still.ended().is_some()).await;
    assert_eq!(still.wait().code(), Some(1), "{}", first.site.log_tail());
    let left = first.site.log_lines().into_iter().find(|line| line["message"] == "leaving the group");
    let why = left.unwrap_or_else(|| panic!("it says why: {}", first.site.log_tail()));
    assert!(why["error"].as_str().is_some_and(|error| error.contains("in another store")), "{why}");
    assert_eq!(running.ended(), None, "{}", second.site.log_tail());
    assert!(running.terminate().success(), "{}", second.site.log_tail());
    assert!(producer.terminate().success(), "{}", first.site.log_tail());
}
