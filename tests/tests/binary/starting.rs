//! What keeps `orders` from starting, and what it says then.

use std::net::TcpListener;

use tests::orders::Site;

use crate::shop::completed;

#[tokio::test]
async fn a_second_process_on_the_same_data_is_told_who_holds_it() {
    let site = Site::new();
    let process = site.start_ready(&[]).await;
    let data = site.directory().join("data");
    let second = Site::new().ask(&["--data", data.to_str().expect("UTF-8")]);
    assert_eq!(second.code, 1, "{second:?}");
    let holder = format!("process {} (orders --role all)", process.id());
    for part in [&*holder, "--data"] {
        assert!(second.stderr.contains(part), "{part} is not in {}", second.stderr);
    }
    assert!(site.get(&site.producer("/readyz")).await.is_some(), "the first one does not notice");
}

#[test]
fn a_busy_port_is_named_with_its_flag() {
    for flag in ["--producer-addr", "--consumer-addr"] {
        let taken = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
        let address = taken.local_addr().expect("bound");
        let site = Site::new();
        let refused = site.ask(&[flag, &address.to_string()]);
        assert_eq!(refused.code, 1, "{refused:?}");
        for part in [flag, &address.port().to_string()] {
            assert!(refused.stderr.contains(part), "{part} is not in {}", refused.stderr);
        }
    }
}

#[test]
fn one_side_alone_refuses_the_memory_bus_and_says_what_to_use() {
    for role in ["producer", "consumer"] {
        let refused = Site::new().ask(&["--role", role]);
        assert_eq!(refused.code, 2, "{refused:?}");
        for part in ["memory:// cannot cross processes", "--role all", "--bus"] {
            assert!(refused.stderr.contains(part), "{part} is not in {}", refused.stderr);
        }
    }
}

#[tokio::test]
async fn a_bus_without_dead_letters_and_retry_delays_is_helped_out_and_said_so() {
    let site = Site::new();
    let _process = site.start_ready(&["--bus", "memory://?dead_letters=off&nack_delay_max=none"]).await;
    let log = site.log_tail();
    completed(&site, "emulated").await;
    for part in ["emulated", "dead letter after", "retry delayed", "prefetch"] {
        assert!(log.contains(part), "{part} is not in {log}");
    }
}

#[tokio::test]
async fn a_bus_that_cannot_be_helped_is_refused_with_the_need_and_the_way_to_ask() {
    let refused = Site::new().ask(&["--bus", "memory://?message_bytes_max=1000"]);
    assert_eq!(refused.code, 2, "{refused:?}");
    for part in ["messages of", "1000 bytes", "claim check", "orders contract"] {
        assert!(refused.stderr.contains(part), "{part} is not in {}", refused.stderr);
    }
}

#[tokio::test]
async fn the_banner_shows_urls_that_answer_and_a_request_that_works() {
    let site = Site::new();
    let _process = site.start_ready(&[]).await;
    let banner = std::fs::read_to_string(site.directory().join("banner")).expect("printed");
    for part in ["data", "./data", "memory://", "curl -X POST", "동기화테스트", "Ctrl-C"] {
        assert!(banner.contains(part), "{part} is not in {banner}");
    }
    let urls: Vec<&str> = banner.split_whitespace().filter(|word| word.starts_with("http://")).collect();
    assert!(urls.len() >= 6, "{banner}");
    for url in urls {
        let answer = site.client().get(url).send().await.expect("answered");
        assert_eq!(answer.status(), reqwest::StatusCode::OK, "{url}");
    }
    let command = banner.split_once("try:  ").expect("something to try").1;
    let command = command.split_once("\nstop:").expect("the last line").0;
    let tried =
        std::process::Command::new("sh").args(["-c", &format!("{command} --silent")]).output().expect("sh runs");
    let answer = String::from_utf8_lossy(&tried.stdout);
    assert!(answer.contains(r#""statusDescription":"대기중""#), "{answer}");
}

#[test]
fn port_zero_takes_a_free_port_and_a_data_directory_that_cannot_be_made_is_named() {
    let site = Site::new();
    std::fs::write(site.directory().join("file"), "in the way").expect("written");
    let refused = site.ask(&["--producer-addr", "127.0.0.1:0", "--consumer-addr", "127.0.0.1:0", "--data", "file"]);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.stderr.contains("file"), "{refused:?}");
}

#[tokio::test]
async fn several_members_share_the_work_where_the_order_per_key_holds_over_them() {
    let site = Site::new();
    let _process = site.start_ready(&["--members", "3"]).await;
    completed(&site, "shared").await;
    let refused = Site::new().ask(&["--members", "3", "--bus", "memory://?order=none"]);
    assert_eq!(refused.code, 2, "{refused:?}");
    for part in ["--members 3", "order per key", "--members 1"] {
        assert!(refused.stderr.contains(part), "{part} is not in {}", refused.stderr);
    }
}
