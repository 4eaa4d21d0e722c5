//! What a restart must not lose.

use reqwest::StatusCode;
use serde_json::Value;
use tests::orders::Site;

use crate::shop::{completed, number, recorded, settled};

/// Everything a client can see of an installation.
async fn seen(site: &Site) -> Vec<Value> {
    let mut seen = Vec::new();
    for path in ["/api/orders", "/api/orders?status=COMPLETED", "/api/orders?status=CANCELLED", "/api/sync/orders"] {
        seen.push(site.get(&site.producer(path)).await.expect(path));
    }
    for path in ["/api/synced-orders", "/api/processed-orders", "/api/books"] {
        seen.push(site.get(&site.consumer(path)).await.expect(path));
    }
    for order in seen[0]["items"].as_array().expect("a page").clone() {
        let path = format!("/api/books/{}", number(&order));
        seen.push(site.get(&site.consumer(&path)).await.expect("the books of an order"));
    }
    seen
}

#[tokio::test]
async fn a_restart_keeps_orders_copies_results_and_books() {
    let site = Site::new();
    let process = site.start_ready(&[]).await;
    for key in ["one", "two", "three"] {
        completed(&site, key).await;
    }
    let before = seen(&site).await;
    assert!(process.terminate().success(), "{}", site.log_tail());
    let _process = site.start_ready(&[]).await;
    assert_eq!(seen(&site).await, before);
    assert_eq!(site.ask(&["verify"]).code, 0);
}

#[tokio::test]
async fn a_restart_keeps_idempotency_keys_and_goes_on_counting() {
    let site = Site::new();
    let process = site.start_ready(&[]).await;
    let first = completed(&site, "key").await;
    assert!(process.terminate().success(), "{}", site.log_tail());
    let _process = site.start_ready(&[]).await;
    let post = |body: Value| {
        site.client().post(site.producer("/api/orders")).header("idempotency-key", "key").json(&body).send()
    };
    let again = post(recorded()).await.expect("an answer");
    assert_eq!(
        (again.status(), again.headers()["idempotency-replayed"].as_bytes()),
        (StatusCode::CREATED, &b"true"[..])
    );
    assert_eq!(again.json::<Value>().await.expect("JSON"), first);
    let mut other = recorded();
    other["quantity"] = 3.into();
    assert_eq!(post(other).await.expect("an answer").status(), StatusCode::UNPROCESSABLE_ENTITY);
    let next = site.place("another key", &recorded()).await;
    assert_eq!((&first["id"], &next["id"]), (&1.into(), &2.into()));
}

#[tokio::test]
async fn an_order_accepted_just_before_a_kill_is_completed_after_the_restart() {
    let site = Site::new();
    let process = site.start_ready(&[]).await;
    let order = site.place("key", &recorded()).await;
    process.kill();
    let _process = site.start_ready(&[]).await;
    settled(&site, number(&order), "COMPLETED").await;
    assert_eq!(site.ask(&["verify"]).code, 0);
}
