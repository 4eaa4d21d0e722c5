//! The whole flow in paused virtual time, without sockets, and with a death at every seam call.

use std::time::Duration;

use bus::{ClockExt, Subscription};
use http::StatusCode;
use services::consumer::ports::StockLevels;
use services::domain::Money;
use services::store::{Direction, Store, Table};
use tests::world::{Call, Client, Death, When, World, in_virtual_time, order_queue, sync_queue};

const PATIENCE: Duration = Duration::from_secs(600);
/// Longer than a lease, a back-off and a restart: whatever is still to come has come by then.
const AFTERMATH: Duration = Duration::from_secs(180);

/// What becomes of the one order of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Story {
    Completed,
    OutOfStock,
    Declined,
    /// Cancelled right after it was placed: the result may be faster.
    Cancelled,
}

const STORIES: [Story; 4] = [Story::Completed, Story::OutOfStock, Story::Declined, Story::Cancelled];

struct Run {
    calls: Vec<Call>,
    tripped: bool,
}

/// Tells `story`, with a death at a call if `trip` names one.
fn run(story: Story, trip: Option<(usize, When, Death)>) -> Run {
    in_virtual_time(async {
        let mut world = World::new(1);
        // The messages alone must do it.
        world.reconcile_every = 10 * PATIENCE;
        world.stock = StockLevels::new([("rare".to_owned(), 1)].into());
        world.payment_limit = Some(Money::from_hundredths(10_000_000));
        if let Some((call, when, death)) = trip {
            world.tripwire.set(call, when);
            world.death = death;
        }
        let client = world.client();
        world.alongside(tell(&world, &client, story)).await;
        Run { calls: world.tripwire.calls(), tripped: world.tripwire.has_tripped() }
    })
}

/// One order from its POST to the end of its story, then what has become of everything.
async fn tell(world: &World, client: &Client, story: Story) {
    let (product, price) = match story {
        Story::Completed | Story::Cancelled => ("SyncEventListener 검증", "45000.00"),
        Story::OutOfStock => ("rare", "45000.00"),
        Story::Declined => ("gold", "50000.01"),
    };
    let order = client.place("key-1", product, 2, price).await;
    let number = order["orderNumber"].as_str().expect("a number").to_owned();
    let status = match story {
        Story::Completed => "COMPLETED",
        Story::OutOfStock | Story::Declined => "FAILED",
        Story::Cancelled => cancel(world, client, &number).await,
    };
    client.settled(&number, status, PATIENCE).await.unwrap_or_else(|| panic!("{status} on both sides"));
    world.seams.clock.sleep(AFTERMATH).await;
    check_order(client, &number, status).await;
    check_nothing_is_left(world).await;
}

/// Cancels until there is an answer: what the order ends as.
async fn cancel(world: &World, client: &Client, number: &str) -> &'static str {
    loop {
        match client.post(&format!("/api/orders/{number}/cancel")).await {
            Ok((StatusCode::OK, _)) => return "CANCELLED",
            Ok((StatusCode::CONFLICT, _)) => return "COMPLETED",
            Ok((status, _)) => assert!(status.is_server_error(), "{status}"),
            Err(_) => {}
        }
        world.seams.clock.sleep(Duration::from_millis(100)).await;
    }
}

async fn check_order(client: &Client, number: &str, status: &str) {
    let show = async |path: String| client.patiently(async || client.consumer(&path).await).await;
    let books = show(format!("/api/books/{number}")).await;
    let list = |name: &str| books[name].as_array().expect("a list").clone();
    let sum = |name: &str, field: &str| list(name).iter().filter_map(|entry| entry[field].as_f64()).sum::<f64>();
    let sums = (sum("stock", "quantity"), sum("payments", "amount"), sum("shipments", "quantity"));
    if status == "COMPLETED" {
        assert_eq!(sums, (-2.0, 90_000.0, 1.0), "{books}");
        assert_eq!((list("stock").len(), list("payments").len(), list("shipments").len()), (1, 1, 1), "{books}");
    } else {
        assert_eq!(sums, (0.0, 0.0, 0.0), "{status}: {books}");
    }
    let totals = show("/api/books".to_owned()).await;
    let total = |name: &str| totals[name].as_f64().expect("a number");
    assert_eq!((total("charged") - total("refunded"), total("shipped")), (sums.1, sums.2), "{totals}");
    let copy = show(format!("/api/synced-orders/{number}")).await;
    let orders = client.patiently(async || client.producer("/api/orders").await).await;
    assert_eq!(orders["items"].as_array().map(Vec::len), Some(1), "one key, one order: {orders}");
    assert_eq!((&orders["items"][0]["version"], &copy["version"]), (&2.into(), &2.into()), "changed once");
}

/// No message waits, none is dead, no outbox holds anything back.
async fn check_nothing_is_left(world: &World) {
    for queue in [order_queue(), sync_queue()] {
        for waiting in [queue.dead_letters().expect("a legal name"), queue] {
            let depth = world.bus.depth_now(&Subscription::to(waiting.clone())).expect("declared");
            assert_eq!((depth.ready_count, depth.delayed_count, depth.in_flight_count), (0, 0, 0), "{waiting}");
        }
    }
    for store in [&world.producer_store, &world.consumer_store] {
        for table in [Table::Outbox, Table::Parked, Table::Unacknowledged] {
            let rows = store.scan(&table.all(), Direction::Forward, 1).await.expect("answered");
            assert!(rows.is_empty(), "{table:?}: {rows:?}");
        }
    }
}

#[test]
fn an_order_is_told_to_its_end_on_both_sides_without_sockets() {
    for story in STORIES {
        assert!(!run(story, None).tripped);
    }
}

#[test]
fn the_same_run_makes_the_same_calls() {
    assert_eq!(run(Story::Completed, None).calls, run(Story::Completed, None).calls);
}

/// Tells `story` once for each of its seam calls, with a death before it and one after it.
fn sweep(story: Story, death: Death) {
    let calls = run(story, None).calls;
    let mut survived_count = 0;
    for (index, call) in calls.iter().enumerate() {
        // A receive on an empty queue has no end to die after.
        let sides = if call.returned { &[When::Before, When::After][..] } else { &[When::Before] };
        for when in sides {
            eprintln!("{story:?}, {death:?}: {when:?} call {} ({})", index + 1, call.name);
            let tripped = run(story, Some((index + 1, *when, death))).tripped;
            assert!(tripped, "{when:?} call {} ({}) was never reached", index + 1, call.name);
            survived_count += 1;
        }
    }
    println!("{story:?}, {death:?}: {survived_count} of {survived_count} points survived, over {} calls", calls.len());
    for seam in ["store apply", "bus publish", "bus settle", "http"] {
        assert!(calls.iter().any(|call| call.name == seam), "no {seam} among {calls:?}");
    }
}

#[test]
fn a_death_the_bus_notices_before_or_after_any_seam_call_changes_nothing() {
    STORIES.into_iter().for_each(|story| sweep(story, Death::Noticed));
}

#[test]
fn a_silent_death_before_or_after_any_seam_call_changes_nothing() {
    STORIES.into_iter().for_each(|story| sweep(story, Death::Silent));
}
