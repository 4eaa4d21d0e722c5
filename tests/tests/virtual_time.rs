//! The whole flow in paused virtual time, without sockets, and with a death at every seam call.

use std::time::Duration;

use tests::world::{Client, Tripwire, When, World, in_virtual_time};

const PATIENCE: Duration = Duration::from_secs(300);

/// Runs both services while `scenario` does.
async fn alongside<T>(world: &World, scenario: impl Future<Output = T>) -> T {
    tokio::select! {
        biased;
        output = scenario => output,
        () = world.producer() => unreachable!("the producer runs until it is dropped"),
        () = world.consumer() => unreachable!("the consumer runs until it is dropped"),
    }
}

/// One order from POST to COMPLETED on both sides, with its books.
async fn one_order(client: &Client) -> (String, (i64, String, i64)) {
    let order = client.place("key-1", "SyncEventListener 검증", 2, "45000.00").await;
    let number = order["orderNumber"].as_str().expect("a number").to_owned();
    client.settled(&number, "COMPLETED", PATIENCE).await.expect("completed on both sides");
    let books = client.books(&number).await;
    (number, books)
}

fn run_with(trip: Option<(usize, When)>) -> (Tripwire, i64) {
    in_virtual_time(async {
        let world = World::new(1);
        if let Some((call, when)) = trip {
            world.tripwire.set(call, when);
        }
        let client = world.client();
        let placed = alongside(&world, async {
            let (_, books) = one_order(&client).await;
            assert_eq!(books, (-2, "90000.0".to_owned(), 1), "{trip:?}: one stock move, one charge, one shipment");
            let orders = client.patiently(async || client.producer("/api/orders").await).await;
            let totals = client.patiently(async || client.consumer("/api/books").await).await;
            assert_eq!((&totals["charged"], &totals["shipped"]), (&90000.0.into(), &1.into()), "{trip:?}: {totals}");
            i64::try_from(orders["items"].as_array().map_or(0, Vec::len)).expect("few")
        })
        .await;
        (world.tripwire.clone(), placed)
    })
}

#[test]
fn an_order_is_completed_on_both_sides_without_sockets() {
    let (tripwire, placed) = run_with(None);
    assert_eq!(placed, 1);
    assert!(!tripwire.has_tripped());
}

#[test]
fn the_same_run_makes_the_same_calls() {
    assert_eq!(run_with(None).0.calls(), run_with(None).0.calls());
}

#[test]
fn a_death_before_or_after_any_seam_call_of_an_order_changes_nothing_in_the_books() {
    let calls = run_with(None).0.calls();
    let mut survived_count = 0;
    for (index, call) in calls.iter().enumerate() {
        let sides = if call.returned { &[When::Before, When::After][..] } else { &[When::Before] };
        for when in sides {
            let (tripwire, placed) = run_with(Some((index + 1, *when)));
            assert!(tripwire.has_tripped(), "{when:?} call {} ({}) was never reached", index + 1, call.name);
            assert_eq!(placed, 1, "{when:?} call {} ({})", index + 1, call.name);
            survived_count += 1;
        }
    }
    println!("{survived_count} of {survived_count} points survived, over {} calls", calls.len());
    for seam in ["store apply", "bus publish", "bus settle", "http"] {
        assert!(calls.iter().any(|call| call.name == seam), "no {seam} among {calls:?}");
    }
}
