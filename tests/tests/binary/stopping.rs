//! SIGTERM and SIGINT: what runs is finished, what was accepted is kept.

use std::sync::Arc;

use reqwest::StatusCode;
use serde_json::Value;
use tests::orders::Site;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::shop::{number, recorded};

const CLIENT_COUNT: usize = 8;

/// Posts orders until nobody listens any more; the numbers of those that were answered.
async fn post_until_refused(site: Arc<Site>) -> Vec<String> {
    let mut numbers = Vec::new();
    loop {
        let request = site.client().post(site.producer("/api/orders")).json(&recorded());
        let Ok(answer) = request.send().await else { return numbers };
        assert_eq!(answer.status(), StatusCode::CREATED, "{answer:?}");
        let Ok(order) = answer.json::<Value>().await else { return numbers };
        numbers.push(number(&order).to_owned());
    }
}

async fn stop_under_load(signal: &str) {
    let site = Arc::new(Site::new());
    let process = site.start_ready(&[]).await;
    let mut clients = JoinSet::new();
    for _ in 0..CLIENT_COUNT {
        clients.spawn(post_until_refused(Arc::clone(&site)));
    }
    site.eventually("orders flow", async || {
        let page = site.get(&site.producer("/api/orders?status=COMPLETED&limit=20")).await;
        page.is_some_and(|page| page["items"].as_array().is_some_and(|items| items.len() == 20))
    })
    .await;
    process.signal(signal);
    let ended = process.wait();
    assert_eq!(ended.code(), Some(0), "{}", site.log_tail());
    // A handler may meet the producer's closed listener; its delivery goes back and is redone.
    let is_fine =
        |line: &&Value| line["level"] == "INFO" || line["target"].as_str().is_some_and(|at| at.contains("pipeline"));
    let complaints: Vec<Value> = site.log_lines().into_iter().filter(|line| !is_fine(&line)).collect();
    assert_eq!(complaints, Vec::<Value>::new(), "all ended within the drain");
    assert!(site.log_lines().iter().all(|line| line["level"] != "ERROR"), "{}", site.log_tail());
    assert_eq!(site.log_lines().last().map(|line| line["event"].clone()), Some("stopped".into()));
    let numbers = clients.join_all().await.concat();
    assert!(numbers.len() >= 20);

    let _process = site.start_ready(&[]).await;
    site.eventually("every order is completed", async || {
        let page = site.get(&site.producer("/api/orders?status=PENDING&limit=1")).await;
        page.is_some_and(|page| page["items"].as_array().is_some_and(Vec::is_empty))
    })
    .await;
    for number in numbers {
        let order = site.get(&site.producer(&format!("/api/orders/{number}"))).await;
        assert_eq!(order.expect("what was answered is there")["status"], "COMPLETED");
    }
    let verified = site.ask(&["verify"]);
    assert_eq!(verified.code, 0, "{verified:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sigterm_under_load_ends_cleanly_and_loses_nothing() {
    stop_under_load("TERM").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sigint_under_load_ends_cleanly_and_loses_nothing() {
    stop_under_load("INT").await;
}

#[tokio::test]
async fn a_second_signal_ends_at_once_what_would_take_long() {
    for signal in ["TERM", "INT"] {
        let site = Site::new();
        let process = site.start_ready(&["--drain", "1h"]).await;
        let host = site.producer("").trim_start_matches("http://").to_owned();
        let mut slow = TcpStream::connect(&host).await.expect("it listens");
        let head = format!(
            "POST /api/orders HTTP/1.1\r\nhost: {host}\r\nexpect: 100-continue\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n"
        );
        slow.write_all(head.as_bytes()).await.expect("it takes the head");
        // It asks for the body, so the request is running when the signal comes.
        let mut asked = [0; 12];
        tokio::io::AsyncReadExt::read_exact(&mut slow, &mut asked).await.expect("it asks for more");
        assert_eq!(&asked, b"HTTP/1.1 100");
        process.signal(signal);
        site.eventually("it is stopping", async || site.log_lines().iter().any(|line| line["event"] == "stopping"))
            .await;
        process.signal(signal);
        assert_eq!(process.wait().code(), Some(130), "{}", site.log_tail());
    }
}
