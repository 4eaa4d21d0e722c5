//! The change sequence: whoever follows `next` learns the latest version of every order.

use std::collections::BTreeMap;

use futures_util::future::{join, join_all};
use http::StatusCode;
use serde_json::Value;
use tests::world::in_virtual_time;

use crate::desk::{Desk, result};

/// What a reader knows who follows `next` from the beginning: each order's version.
#[derive(Default)]
struct Reader {
    next: u64,
    versions: BTreeMap<String, u64>,
}

impl Reader {
    /// Reads one page; whether there is more.
    async fn read(&mut self, desk: &Desk, limit: usize) -> bool {
        let page = desk.read(&format!("/api/sync/orders?after={}&limit={limit}", self.next)).await;
        let items = page["items"].as_array().expect("a page");
        assert!(items.len() <= limit, "{page}");
        for order in items {
            let number = order["orderNumber"].as_str().expect("an order").to_owned();
            let version = order["version"].as_u64().expect("a version");
            let known = self.versions.insert(number, version).unwrap_or(0);
            assert!(known < version, "a version is shown once, in the order of changes: {page}");
        }
        let next = page["next"].as_u64().expect("a number");
        assert!(next >= self.next, "{page}");
        self.next = next;
        page["hasMore"].as_bool().expect("true or false")
    }

    async fn read_to_the_end(&mut self, desk: &Desk, limit: usize) {
        while self.read(desk, limit).await {}
    }
}

async fn listed(desk: &Desk) -> BTreeMap<String, u64> {
    let page = desk.read("/api/orders?limit=500").await;
    let version = |order: &Value| {
        let number = order["orderNumber"].as_str().expect("an order").to_owned();
        (number, order["version"].as_u64().expect("a version"))
    };
    page["items"].as_array().expect("a page").iter().map(version).collect()
}

#[test]
fn after_is_exclusive_and_the_end_is_stable() {
    in_virtual_time(async {
        let desk = Desk::open().await;
        let empty = desk.read("/api/sync/orders").await;
        assert_eq!(empty, serde_json::json!({"items": [], "next": 0, "hasMore": false}));
        for _ in 0..3 {
            desk.place().await;
        }
        let first = desk.read("/api/sync/orders?limit=2").await;
        assert_eq!((first["items"].as_array().map(Vec::len), &first["hasMore"]), (Some(2), &true.into()), "{first}");
        let rest = desk.read(&format!("/api/sync/orders?limit=2&after={}", first["next"])).await;
        assert_eq!((rest["items"].as_array().map(Vec::len), &rest["hasMore"]), (Some(1), &false.into()), "{rest}");
        assert_ne!(rest["items"][0], first["items"][1], "what was read is not read again");
        let end = desk.read(&format!("/api/sync/orders?after={}", rest["next"])).await;
        assert_eq!(end, serde_json::json!({"items": [], "next": rest["next"], "hasMore": false}));
    });
}

#[test]
fn a_page_with_exactly_the_rest_says_that_there_is_no_more() {
    in_virtual_time(async {
        let desk = Desk::open().await;
        for _ in 0..4 {
            desk.place().await;
        }
        assert_eq!(desk.read("/api/sync/orders?limit=4").await["hasMore"], false);
        assert_eq!(desk.read("/api/sync/orders?limit=3").await["hasMore"], true);
    });
}

#[test]
fn a_change_brings_an_order_back_behind_the_reader() {
    in_virtual_time(async {
        let desk = Desk::open().await;
        let (first, _) = (desk.place().await, desk.place().await);
        let mut reader = Reader::default();
        reader.read_to_the_end(&desk, 1).await;
        assert_eq!(desk.put_result(&first, &result("COMPLETED", 1)).await.status(), StatusCode::OK);
        reader.read_to_the_end(&desk, 1).await;
        assert_eq!(reader.versions, listed(&desk).await);
        let repeated = desk.put_result(&first, &result("COMPLETED", 1)).await;
        assert_eq!(repeated.status(), StatusCode::OK);
        let page = desk.read(&format!("/api/sync/orders?after={}", reader.next)).await;
        assert_eq!(page["items"], serde_json::json!([]), "a repeated result is no change");
    });
}

#[test]
fn a_reader_among_concurrent_changes_misses_none() {
    in_virtual_time(async {
        for limit in [1, 3, 10, 500] {
            let desk = Desk::open().await;
            let mut reader = Reader::default();
            let mut placed: Vec<String> = Vec::new();
            for round in 0..12 {
                let new = join_all((0..5).map(|_| desk.place()));
                let changes = join_all(placed.iter().enumerate().map(async |(at, number)| match (at + round) % 5 {
                    0 => drop(desk.put_result(number, &result("COMPLETED", 1)).await),
                    1 => drop(desk.cancel(number).await),
                    _ => {}
                }));
                let read = reader.read(&desk, limit);
                let (new, (_, _)) = join(new, join(changes, read)).await;
                placed.extend(new);
            }
            reader.read_to_the_end(&desk, limit).await;
            assert_eq!(reader.versions, listed(&desk).await, "pages of {limit}");
            assert!(reader.versions.values().filter(|version| **version == 2).count() > 10, "many have changed");
        }
    });
}
