//! Lists of orders: newest first, filtered, and whole even while orders come in.

use serde_json::Value;
use tests::world::in_virtual_time;

use crate::desk::{Desk, order, result, value};

fn numbers(page: &Value) -> Vec<String> {
    let items = page["items"].as_array().expect("a page");
    items.iter().map(|order| order["orderNumber"].as_str().expect("an order").to_owned()).collect()
}

/// All pages of a list; `between` runs before each further page.
async fn pages(desk: &Desk, query: &str, mut between: impl AsyncFnMut()) -> Vec<Vec<String>> {
    let mut pages = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = desk.read(&format!("/api/orders?{query}{cursor}")).await;
        pages.push(numbers(&page));
        let Some(next) = page["nextCursor"].as_str() else {
            assert_eq!(page.get("nextCursor"), Some(&Value::Null), "null on the last page: {page}");
            return pages;
        };
        cursor = format!("&cursor={next}");
        between().await;
    }
}

async fn place(desk: &Desk, count: usize) -> Vec<String> {
    let mut numbers = Vec::new();
    for _ in 0..count {
        numbers.push(desk.place().await);
    }
    numbers
}

#[test]
fn an_empty_list_is_a_page_without_a_next_one() {
    in_virtual_time(async {
        let desk = Desk::open().await;
        assert_eq!(desk.read("/api/orders").await, serde_json::json!({"items": [], "nextCursor": null}));
    });
}

#[test]
fn the_newest_order_comes_first_and_fifty_are_a_page() {
    in_virtual_time(async {
        let desk = Desk::open().await;
        let mut expected = place(&desk, 51).await;
        expected.reverse();
        let page = desk.read("/api/orders").await;
        assert_eq!(numbers(&page), expected[..50]);
        assert!(page["nextCursor"].is_string(), "{page}");
        assert_eq!(numbers(&desk.read("/api/orders?limit=500").await), expected);
    });
}

#[test]
fn a_page_that_holds_exactly_the_rest_is_the_last() {
    in_virtual_time(async {
        let desk = Desk::open().await;
        place(&desk, 6).await;
        let lengths: Vec<usize> = pages(&desk, "limit=3", async || {}).await.iter().map(Vec::len).collect();
        assert_eq!(lengths, [3, 3]);
    });
}

#[test]
fn paging_visits_every_order_once_while_new_ones_come_in() {
    in_virtual_time(async {
        for limit in [1, 2, 7, 40] {
            let desk = Desk::open().await;
            let mut expected = place(&desk, 40).await;
            expected.reverse();
            let visited = pages(&desk, &format!("limit={limit}"), async || drop(place(&desk, 3).await)).await.concat();
            assert_eq!(visited, expected, "pages of {limit}");
        }
    });
}

#[test]
fn a_filter_shows_the_orders_of_that_status_and_no_others() {
    in_virtual_time(async {
        let desk = Desk::open().await;
        let mut placed = place(&desk, 12).await;
        for (at, number) in placed.iter().enumerate() {
            let answer = match at % 4 {
                0 => continue,
                1 => desk.put_result(number, &result("COMPLETED", 1)).await,
                2 => desk.put_result(number, &result("FAILED", 1)).await,
                _ => desk.cancel(number).await,
            };
            assert_eq!(answer.status(), 200, "{answer:?}");
        }
        placed.reverse();
        for (rest, status) in ["PENDING", "COMPLETED", "FAILED", "CANCELLED"].into_iter().enumerate() {
            let expected: Vec<String> = placed
                .iter()
                .enumerate()
                .filter(|(at, _)| (11 - at) % 4 == rest)
                .map(|(_, number)| number.clone())
                .collect();
            let query = format!("status={status}&limit=2");
            assert_eq!(pages(&desk, &query, async || {}).await.concat(), expected, "{status}");
            let page = desk.read(&format!("/api/orders?status={status}")).await;
            assert!(page["items"].as_array().is_some_and(|items| items.iter().all(|order| order["status"] == status)));
        }
    });
}

#[test]
fn orders_posted_together_are_all_listed_once() {
    in_virtual_time(async {
        let desk = Desk::open().await;
        let answers = futures_util::future::join_all((0..200).map(|_| desk.post(order("tea", 1, "1.00")))).await;
        let mut ids: Vec<u64> = answers.iter().map(|answer| value(answer)["id"].as_u64().expect("an id")).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 200, "no id is given twice");
        let mut visited = pages(&desk, "limit=30", async || {}).await.concat();
        visited.sort();
        visited.dedup();
        assert_eq!(visited.len(), 200);
    });
}
