//! `orders reconcile`.

use serde_json::Value;
use tests::orders::{Site, said};

use crate::shop::completed;

#[tokio::test]
async fn it_runs_in_the_running_consumer_and_says_what_it_did() {
    let site = Site::new();
    let _process = site.start_ready(&["--reconcile-grace", "0s", "--reconcile-every", "1h"]).await;
    completed(&site, "key").await;
    let done = site.ask(&["reconcile"]);
    assert_eq!(done.code, 0, "{done:?}");
    assert!(done.stdout.contains("changes looked at") && !done.stdout.starts_with('0'), "{done:?}");
    let again: Value = serde_json::from_str(&site.ask(&["reconcile", "--json"]).stdout).expect("JSON");
    for count in ["checked", "copied", "processed", "resent"] {
        assert_eq!(again[count], 0, "all was seen: {again}");
    }
}

#[test]
fn with_nobody_there_it_says_so() {
    let refused = Site::new().ask(&["reconcile"]);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.stderr.contains("orders serve") && refused.stderr.contains("--consumer-url"), "{refused:?}");
}

#[tokio::test]
async fn with_a_token_it_needs_the_token() {
    let site = Site::new();
    let process = site.start_command(site.command(&[]).env("ORDERS_SYNC_TOKEN", "s3cret"));
    let _process = site.until_ready(process).await;
    assert_eq!(said(site.command(&["reconcile"]).env("ORDERS_SYNC_TOKEN", "s3cret")).code, 0);
    for command in [&["reconcile"][..], &["reconcile", "--sync-token", "wrong"]] {
        let refused = site.ask(command);
        assert_eq!((refused.code, refused.stderr.contains("ORDERS_SYNC_TOKEN")), (1, true), "{refused:?}");
    }
    completed(&site, "key").await;
    assert_eq!(said(site.command(&["verify"]).env("ORDERS_SYNC_TOKEN", "s3cret")).code, 0);
    let refused = site.ask(&["verify"]);
    assert_eq!((refused.code, refused.stderr.contains("ORDERS_SYNC_TOKEN")), (2, true), "{refused:?}");
}
