//! Whatever is ordered, cancelled, out of stock or not paid: in the end all sums agree.

use std::time::Duration;

use bus::ClockExt;
use proptest::prelude::*;
use rust_decimal::Decimal;
use serde_json::Value;
use services::consumer::ports::StockLevels;
use services::domain::Money;
use tests::world::{Between, Client, World, in_virtual_time};

const PRODUCTS: [(&str, u64); 3] = [("rare", 5), ("scarce", 40), ("none", 0)];
const PATIENCE: Duration = Duration::from_secs(300);

/// One customer's doings.
#[derive(Clone, Debug)]
struct Customer {
    product: &'static str,
    quantity: u32,
    price_hundredths: u32,
    /// Time until the order, and from there until it is called off, if it is.
    comes_after: Duration,
    cancels_after: Option<Duration>,
}

fn customer() -> impl Strategy<Value = Customer> {
    let product = prop::sample::select(vec!["rare", "scarce", "none", "plenty"]);
    let cancels_after = prop::option::of((0_u64..400).prop_map(Duration::from_millis));
    (product, 1_u32..8, 1_u32..30_000, 0_u64..2_000, cancels_after).prop_map(
        |(product, quantity, price_hundredths, comes_after, cancels_after)| Customer {
            product,
            quantity,
            price_hundredths,
            comes_after: Duration::from_millis(comes_after),
            cancels_after,
        },
    )
}

/// What goes wrong meanwhile: the consumer cannot reach the producer from here until there.
type Outage = Option<(u64, u64)>;

async fn visit(world: &World, client: &Client, at: usize, customer: &Customer) -> String {
    world.seams.clock.sleep(customer.comes_after).await;
    let Customer { product, quantity, price_hundredths, .. } = customer;
    let price = format!("{}.{:02}", price_hundredths / 100, price_hundredths % 100);
    let order = client.place(&format!("key-{at}"), product, *quantity, &price).await;
    let number = order["orderNumber"].as_str().expect("a number").to_owned();
    if let Some(patience) = customer.cancels_after {
        world.seams.clock.sleep(patience).await;
        let (status, _) = client.post(&format!("/api/orders/{number}/cancel")).await.expect("answered");
        assert!(status.as_u16() == 200 || status.as_u16() == 409, "{status}");
    }
    number
}

fn decimal(value: &Value) -> Decimal {
    let text = value.to_string();
    Decimal::from_str_exact(text.trim_matches('"')).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn check(seed: u64, customers: &[Customer], outage: Outage) {
    in_virtual_time(async {
        let mut world = World::new(seed);
        world.stock = StockLevels::new(PRODUCTS.into_iter().map(|(name, units)| (name.to_owned(), units)).collect());
        world.payment_limit = Some(Money::from_hundredths(100_000));
        let client = world.client();
        let scenario = async {
            let visits = customers.iter().enumerate().map(|(at, customer)| visit(&world, &client, at, customer));
            let cutting = async {
                let Some((from, length)) = outage else { return };
                world.seams.clock.sleep(Duration::from_millis(from)).await;
                world.network.put_between(Between::ClosedPort);
                world.seams.clock.sleep(Duration::from_millis(length)).await;
                world.network.put_between(Between::Nothing);
            };
            let (numbers, ()) = futures_util::join!(futures_util::future::join_all(visits), cutting);
            check_sums(&client, &numbers).await;
        };
        tokio::select! {
            biased;
            () = scenario => {}
            () = world.producer() => unreachable!("the producer runs until it is dropped"),
            () = world.consumer() => unreachable!("the consumer runs until it is dropped"),
        }
    });
}

async fn check_sums(client: &Client, numbers: &[String]) {
    let (mut charged, mut shipped) = (Decimal::ZERO, 0_i64);
    let mut sold: std::collections::BTreeMap<String, i64> = std::collections::BTreeMap::new();
    for number in numbers {
        let path = format!("/api/orders/{number}");
        let status = async || {
            let order = client.producer(&path).await?;
            order["status"].as_str().filter(|status| *status != "PENDING").map(ToOwned::to_owned)
        };
        let status = client.patiently(async || status().await.map(Value::from)).await;
        let status = status.as_str().expect("a text");
        client.settled(number, status, PATIENCE).await.unwrap_or_else(|| panic!("{number}: both sides say {status}"));
        let order = client.producer(&path).await.expect("it is there");
        let copy = client.consumer(&format!("/api/synced-orders/{number}")).await.expect("it is copied");
        for field in order.as_object().expect("an object").keys() {
            assert_eq!(order[field], copy[field], "{number} {field}");
        }
        if status == "COMPLETED" {
            charged += decimal(&order["totalAmount"]);
            shipped += 1;
            *sold.entry(order["productName"].as_str().expect("a name").to_owned()).or_default() +=
                order["quantity"].as_i64().expect("a number");
        }
    }
    let books = client.consumer("/api/books").await.expect("the books");
    assert_eq!(decimal(&books["charged"]) - decimal(&books["refunded"]), charged, "{books}");
    assert_eq!(books["shipped"], shipped, "{books}");
    for (product, book) in books["products"].as_object().expect("an object") {
        let [initial, on_hand, moved] =
            ["initial", "onHand", "moved"].map(|field| book[field].as_i64().expect("a number"));
        assert_eq!((initial, moved), (on_hand - moved, -sold.get(product).copied().unwrap_or(0)), "{product}: {books}");
        assert!(on_hand >= 0, "{product}: {books}");
        let listed = PRODUCTS.iter().find(|(name, _)| name == product).map_or(1_000_000_000, |(_, units)| *units);
        assert_eq!(initial.unsigned_abs(), listed, "{product}: {books}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn in_the_end_stock_money_and_shipments_are_those_of_the_completed_orders(
        seed in any::<u64>(),
        customers in prop::collection::vec(customer(), 1..24),
        outage in prop::option::of((0_u64..2_000, 1_u64..60_000)),
    ) {
        check(seed, &customers, outage);
    }
}
