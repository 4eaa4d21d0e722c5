//! `/livez` and `/readyz`.

use reqwest::StatusCode;
use tests::orders::Site;

#[tokio::test]
async fn both_sides_are_live_and_ready_and_say_which_checks_they_made() {
    let site = Site::new();
    let _process = site.start_ready(&[]).await;
    let checks = ["bus", "store", "subscriptions", "relay", "drain"];
    for url in [site.producer(""), site.consumer("")] {
        let live = site.client().get(format!("{url}/livez")).send().await.expect("an answer");
        assert_eq!(live.status(), StatusCode::OK);
        let ready = site.get(&format!("{url}/readyz")).await.expect("ready");
        assert_eq!(ready["ready"], true, "{ready}");
        let found = ready["checks"].as_object().expect("an object");
        assert_eq!(found.len(), checks.len(), "{ready}");
        for check in checks {
            assert_eq!(found[check]["ok"], true, "{check}: {ready}");
            assert!(found[check]["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{check}: {ready}");
        }
    }
}
