//! The sync token: who may use the sync routes, and what becomes of a consumer with the wrong one.

use std::time::Duration;

use bus::{ClockExt, Subscription};
use http::{Method, StatusCode};
use tests::world::{World, in_virtual_time, order_queue, sync_queue};

use crate::desk::{Desk, problem, request, result};

const TOKEN: &str = "c4nary-t0ken";
const PATIENCE: Duration = Duration::from_secs(300);

#[test]
fn the_sync_routes_open_to_the_token_and_to_nobody_else() {
    in_virtual_time(async {
        let desk = Desk::guarded_by(TOKEN).await;
        let number = desk.place().await;
        let put = result("COMPLETED", 1).to_string();
        for (method, path, body) in [
            (Method::GET, "/api/sync/health".to_owned(), ""),
            (Method::GET, "/api/sync/orders".to_owned(), ""),
            (Method::GET, format!("/api/sync/order/{number}"), ""),
            (Method::PUT, format!("/api/sync/order/{number}/result"), &*put),
        ] {
            for authorization in [None, Some("Bearer wrong"), Some("Bearer"), Some(TOKEN), Some("Basic c4nary-t0ken")] {
                let mut request = request(method.clone(), &path, body.to_owned());
                if let Some(authorization) = authorization {
                    request.headers_mut().insert("authorization", authorization.parse().expect("a header value"));
                }
                let answer = desk.call(request).await;
                problem(&answer, 401, &format!("{method} {path} {authorization:?}"));
                assert_eq!(answer.headers()["www-authenticate"], "Bearer");
                assert!(!String::from_utf8_lossy(answer.body()).contains(TOKEN));
            }
            let mut request = request(method, &path, body.to_owned());
            request.headers_mut().insert("authorization", format!("Bearer {TOKEN}").parse().expect("a header value"));
            assert_eq!(desk.call(request).await.status(), StatusCode::OK, "{path}");
        }
    });
}

#[test]
fn customers_and_probes_need_no_token() {
    in_virtual_time(async {
        let desk = Desk::guarded_by(TOKEN).await;
        let number = desk.place().await;
        for path in ["/api/orders", &format!("/api/orders/{number}"), "/livez", "/readyz"] {
            assert_eq!(desk.get(path).await.status(), StatusCode::OK, "{path}");
        }
        assert_eq!(desk.cancel(&number).await.status(), StatusCode::OK);
    });
}

async fn alongside<T>(world: &World, scenario: impl Future<Output = T>) -> T {
    tokio::select! {
        biased;
        output = scenario => output,
        () = world.producer() => unreachable!("the producer runs until it is dropped"),
        () = world.consumer() => unreachable!("the consumer runs until it is dropped"),
    }
}

fn dead_letter_count(world: &World) -> usize {
    let count = |queue: bus::Destination| {
        let dead_letters = Subscription::to(queue.dead_letters().expect("a legal name"));
        world.bus.depth_now(&dead_letters).expect("declared with its queue").ready_count
    };
    count(order_queue()) + count(sync_queue())
}

#[test]
fn a_consumer_with_the_right_token_keeps_both_sides_in_sync() {
    in_virtual_time(async {
        let mut world = World::new(31);
        (world.producer_token, world.consumer_token) = (Some(TOKEN.to_owned()), Some(TOKEN.to_owned()));
        let client = world.client();
        alongside(&world, async {
            let order = client.place("key", "tea", 1, "1.00").await;
            let number = order["orderNumber"].as_str().expect("a number");
            client.settled(number, "COMPLETED", PATIENCE).await.expect("completed on both sides");
        })
        .await;
    });
}

#[test]
fn a_consumer_with_the_wrong_token_waits_and_loses_nothing() {
    in_virtual_time(async {
        for token in [None, Some("wrong".to_owned())] {
            let mut world = World::new(32);
            (world.producer_token, world.consumer_token) = (Some(TOKEN.to_owned()), token);
            let client = world.client();
            let number = alongside(&world, async {
                let order = client.place("key", "tea", 1, "1.00").await;
                let number = order["orderNumber"].as_str().expect("a number").to_owned();
                let limit = Duration::from_secs(600);
                assert_eq!(client.settled(&number, "COMPLETED", limit).await, None, "no result can be brought");
                assert_eq!(dead_letter_count(&world), 0);
                let ready = client.consumer("/readyz").await;
                assert_eq!(ready, None, "an operator sees that it does not receive");
                number
            })
            .await;
            world.consumer_token = Some(TOKEN.to_owned());
            alongside(&world, async {
                world.seams.clock.sleep(Duration::from_millis(1)).await;
                client.settled(&number, "COMPLETED", PATIENCE).await.expect("caught up with the right token");
                assert_eq!(client.books(&number).await, (-1, "1.0".to_owned(), 1));
                assert_eq!(dead_letter_count(&world), 0);
            })
            .await;
        }
    });
}
