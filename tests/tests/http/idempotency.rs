//! One key, one order.

use std::collections::BTreeSet;
use std::time::Duration;

use bus::ClockExt;
use futures_util::future::join_all;
use http::StatusCode;
use services::store::Table;
use tests::world::in_virtual_time;

use crate::desk::{Answer, Desk, number, order, problem};

fn is_replayed(answer: &Answer) -> bool {
    answer.headers().get("idempotency-replayed").is_some_and(|value| value == "true")
}

async fn hours_pass(desk: &Desk, hours: u64) {
    desk.seams.clock.sleep(Duration::from_secs(hours * 60 * 60)).await;
}

#[test]
fn a_thousand_concurrent_posts_with_one_key_create_one_order_and_one_answer() {
    in_virtual_time(async {
        let desk = Desk::open().await;
        let answers = join_all((0..1_000).map(|_| desk.post_under("key", order("tea", 2, "45000.00")))).await;
        let bodies: BTreeSet<&[u8]> = answers.iter().map(|answer| &answer.body()[..]).collect();
        assert!(answers.iter().all(|answer| answer.status() == StatusCode::CREATED), "every answer is 201");
        assert_eq!(bodies.len(), 1, "every body is the same, byte for byte");
        assert_eq!(answers.iter().filter(|answer| is_replayed(answer)).count(), 999, "all but the first are replays");
        let locations: BTreeSet<&str> =
            answers.iter().map(|answer| answer.headers()["location"].to_str().expect("ASCII")).collect();
        assert_eq!(locations.len(), 1);
        assert_eq!((desk.row_count(Table::Orders).await, desk.row_count(Table::Outbox).await), (1, 2));
    });
}

#[test]
fn another_body_under_a_used_key_is_refused_and_creates_nothing() {
    in_virtual_time(async {
        let desk = Desk::open().await;
        let first = desk.post_under("key", order("tea", 2, "1.50")).await;
        for other in [order("tea", 3, "1.50"), order("coffee", 2, "1.50"), order("tea", 2, "1.51")] {
            problem(&desk.post_under("key", other.clone()).await, 422, &other);
        }
        let again = desk.post_under("key", order("tea", 2, "1.50")).await;
        assert_eq!((again.status(), again.body(), is_replayed(&again)), (StatusCode::CREATED, first.body(), true));
        assert_eq!(desk.row_count(Table::Orders).await, 1);
    });
}

#[test]
fn a_concurrent_mix_of_two_bodies_under_one_key_accepts_exactly_one_of_them() {
    in_virtual_time(async {
        let desk = Desk::open().await;
        let bodies = [order("tea", 2, "1.50"), order("coffee", 2, "1.50")];
        let answers = join_all((0..100).map(|at| desk.post_under("key", bodies[at % 2].clone()))).await;
        let created = answers.iter().filter(|answer| answer.status() == StatusCode::CREATED).count();
        let refused = answers.iter().filter(|answer| answer.status() == StatusCode::UNPROCESSABLE_ENTITY).count();
        assert_eq!((created, refused, desk.row_count(Table::Orders).await), (50, 50, 1));
    });
}

#[test]
fn different_keys_and_no_key_make_an_order_each() {
    in_virtual_time(async {
        let desk = Desk::open().await;
        let mut numbers = BTreeSet::new();
        for key in ["one", "two"] {
            numbers.insert(number(&desk.post_under(key, order("tea", 1, "1.00")).await));
        }
        for _ in 0..2 {
            let answer = desk.post(order("tea", 1, "1.00")).await;
            assert!(!is_replayed(&answer));
            numbers.insert(number(&answer));
        }
        assert_eq!(numbers.len(), 4);
    });
}

#[test]
fn a_key_answers_for_a_day_also_after_a_restart_and_then_is_free_again() {
    in_virtual_time(async {
        let desk = Desk::open().await;
        let first = desk.post_under("key", order("tea", 2, "1.50")).await;
        hours_pass(&desk, 23).await;
        let desk = desk.reopened().await;
        let again = desk.post_under("key", order("tea", 2, "1.50")).await;
        assert_eq!((again.body(), is_replayed(&again)), (first.body(), true));
        problem(&desk.post_under("key", order("tea", 9, "1.50")).await, 422, "still taken");
        hours_pass(&desk, 2).await;
        let fresh = desk.post_under("key", order("tea", 9, "1.50")).await;
        assert_eq!((fresh.status(), is_replayed(&fresh)), (StatusCode::CREATED, false));
        assert_ne!(number(&fresh), number(&first));
        let again = desk.post_under("key", order("tea", 9, "1.50")).await;
        assert_eq!((again.body(), is_replayed(&again)), (fresh.body(), true), "the key now names the new order");
    });
}

#[test]
fn the_first_answer_is_repeated_even_when_the_order_has_changed_since() {
    in_virtual_time(async {
        let desk = Desk::open().await;
        let first = desk.post_under("key", order("tea", 2, "1.50")).await;
        assert_eq!(desk.cancel(&number(&first)).await.status(), StatusCode::OK);
        let again = desk.post_under("key", order("tea", 2, "1.50")).await;
        assert_eq!((again.status(), again.body()), (StatusCode::CREATED, first.body()));
    });
}

#[test]
fn a_refused_body_does_not_use_up_its_key() {
    in_virtual_time(async {
        let desk = Desk::open().await;
        problem(&desk.post_under("key", order("tea", 0, "1.50")).await, 422, "no units");
        let answer = desk.post_under("key", order("tea", 1, "1.50")).await;
        assert_eq!((answer.status(), is_replayed(&answer)), (StatusCode::CREATED, false));
    });
}

#[test]
fn repeating_a_key_does_not_use_up_order_ids() {
    in_virtual_time(async {
        let desk = Desk::open().await;
        for _ in 0..5 {
            desk.post_under("key", order("tea", 1, "1.00")).await;
        }
        let next = desk.post(order("tea", 1, "1.00")).await;
        assert_eq!(crate::desk::value(&next)["id"], 2);
    });
}
