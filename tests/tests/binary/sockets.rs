//! Real sockets: bodies that are too long, and a thousand clients with one key.

use std::collections::BTreeSet;

use futures_util::StreamExt;
use reqwest::StatusCode;
use serde_json::Value;
use tests::orders::Site;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::shop::{number, recorded, settled};

const TWO_MB: usize = 2 << 20;
const POST_COUNT: usize = 1_000;
const CONNECTION_COUNT: usize = 500;

#[tokio::test]
async fn a_client_that_sends_two_megabytes_first_reads_why_they_were_too_many() {
    let site = Site::new();
    let _process = site.start_ready(&[]).await;
    let host = site.producer("").trim_start_matches("http://").to_owned();
    let mut stream = TcpStream::connect(&host).await.expect("it listens");
    let head = format!(
        "POST /api/orders HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\ncontent-length: {TWO_MB}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.expect("it takes the head");
    stream.write_all(&vec![b' '; TWO_MB]).await.expect("it takes all of the body");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("no reset overtakes the answer");
    assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("application/problem+json"), "{answer}");
    assert!(answer.contains("\"status\":413"), "{answer}");

    let usual = site.client().post(site.producer("/api/orders")).header("content-type", "application/json");
    let answer = usual.body(vec![b' '; TWO_MB]).send().await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let page = site.get(&site.producer("/api/orders")).await.expect("it goes on serving");
    assert_eq!(page["items"], serde_json::json!([]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_posts_with_one_key_over_real_sockets_create_one_order() {
    let site = Site::new();
    let _process = site.start_ready(&[]).await;
    let post = async |_: usize| {
        let request = site.client().post(site.producer("/api/orders")).header("idempotency-key", "key");
        let answer = request.json(&recorded()).send().await.expect("an answer");
        let is_replayed = answer.headers().contains_key("idempotency-replayed");
        (answer.status(), is_replayed, answer.text().await.expect("a body"))
    };
    let answers: Vec<_> =
        futures_util::stream::iter((0..POST_COUNT).map(post)).buffer_unordered(CONNECTION_COUNT).collect().await;
    assert!(answers.iter().all(|(status, ..)| *status == StatusCode::CREATED), "every answer is 201");
    assert_eq!(answers.iter().filter(|(_, is_replayed, _)| *is_replayed).count(), POST_COUNT - 1);
    let bodies: BTreeSet<&String> = answers.iter().map(|(.., body)| body).collect();
    assert_eq!(bodies.len(), 1, "every body is the same");
    let order: Value = serde_json::from_str(bodies.first().expect("one")).expect("JSON");
    settled(&site, number(&order), "COMPLETED").await;
    let page = site.get(&site.producer("/api/orders")).await.expect("a page");
    assert_eq!(page["items"].as_array().map(Vec::len), Some(1), "{page}");
    assert_eq!(site.ask(&["verify"]).code, 0);
}

#[tokio::test]
async fn wrong_requests_are_problems_over_a_socket_too() {
    let site = Site::new();
    let _process = site.start_ready(&[]).await;
    let client = site.client();
    for (request, status) in [
        (client.get(site.producer("/nowhere")), StatusCode::NOT_FOUND),
        (client.get(site.consumer("/api/synced-orders/ORD-1")), StatusCode::NOT_FOUND),
        (client.get(site.consumer("/api/processed-orders?limit=0")), StatusCode::BAD_REQUEST),
        (client.get(site.consumer("/api/synced-orders?cursor=x")), StatusCode::BAD_REQUEST),
        (client.get(site.consumer("/api/books?page=1")), StatusCode::BAD_REQUEST),
        (client.delete(site.consumer("/api/books")), StatusCode::METHOD_NOT_ALLOWED),
        (client.post(site.producer("/api/orders")).body("{}"), StatusCode::UNSUPPORTED_MEDIA_TYPE),
        (client.post(site.producer("/api/orders")).json(&serde_json::json!({})), StatusCode::UNPROCESSABLE_ENTITY),
    ] {
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.status(), status, "{answer:?}");
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
        let url = answer.url().clone();
        let problem: Value = answer.json().await.expect("JSON");
        assert_eq!(problem["status"], status.as_u16(), "{url}: {problem}");
        assert!(problem["type"].is_string() && problem["title"].is_string(), "{url}: {problem}");
    }
}
