//! `GET /metrics` on both sides of the real binary.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::{Method, StatusCode};
use serde_json::Value;
use tests::orders::Site;
use tests::scrape::Scrape;

use crate::shop::{completed, number, recorded, settled};

const SIDES: [&str; 2] = ["producer", "consumer"];

async fn scrape(site: &Site, side: &str) -> Scrape {
    Scrape::read(&page(site, side).await)
}

async fn page(site: &Site, side: &str) -> String {
    let answer = site.client().get(url(site, side, "/metrics")).send().await.expect("answered");
    assert_eq!(answer.status(), StatusCode::OK);
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!(answer.headers()["content-type"], content_type);
    answer.text().await.expect("a body")
}

fn url(site: &Site, side: &str, path: &str) -> String {
    if side == "producer" { site.producer(path) } else { site.consumer(path) }
}

/// What the table in the documentation says of a family.
#[derive(Debug)]
struct Documented {
    kind: &'static str,
    labels: BTreeSet<String>,
    page: &'static str,
}

/// The rows of the table in `services::metrics`, by family.
fn documented() -> BTreeMap<&'static str, Documented> {
    let source = include_str!("../../../services/src/metrics/mod.rs");
    let rows = source.lines().filter_map(|line| line.strip_prefix("//! | `"));
    let read = |row: &'static str| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        // Names of labels stand in backquotes; what follows a colon are their values.
        let told = cells[2].split(", `").map(|label| label.split(':').next().unwrap_or_default());
        let names = told.flat_map(|label| label.split('`').find(|part| is_label(part)));
        let labels = names.map(ToOwned::to_owned).collect();
        (cells[0].trim_end_matches('`'), Documented { kind: cells[1], labels, page: cells[3] })
    };
    rows.map(read).collect()
}

fn is_label(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|character| character.is_ascii_lowercase())
}

/// Starts with a reconciler that runs often and leaves everything to the messages, and completes an order.
async fn after_an_order() -> (Site, tests::orders::Process, Value) {
    let site = Site::new();
    let process = site.start_ready(&["--reconcile-every", "1s", "--reconcile-grace", "1h"]).await;
    let order = completed(&site, "key").await;
    site.eventually("the reconciler has run", async || {
        let page = scrape(&site, "consumer").await;
        page.sum("orders_reconciler_last_success_timestamp_seconds", &[]).is_some()
    })
    .await;
    (site, process, order)
}

/// The page of a side once it shows everything that is documented for it: on a busy machine a look may take
/// longer than the page waits.
async fn whole_page(site: &Site, side: &str) -> Scrape {
    let documented = documented();
    let mut page = Scrape::default();
    site.eventually("a page shows every family that is documented", async || {
        page = scrape(site, side).await;
        let shown: BTreeSet<String> = page.families().map(|(name, _)| name).collect();
        let missing: Vec<&str> = documented
            .iter()
            .filter(|(_, told)| told.page.starts_with("both") || told.page.starts_with(side))
            .filter(|(name, told)| !told.page.ends_with("on Kafka") && !shown.contains(**name))
            .map(|(name, _)| *name)
            .collect();
        if !missing.is_empty() {
            eprintln!("not on the page of the {side}: {missing:?}");
        }
        missing.is_empty()
    })
    .await;
    page
}

#[tokio::test]
async fn every_family_shown_is_documented_and_every_family_documented_is_shown() {
    let (site, _process, _) = after_an_order().await;
    let documented = documented();
    assert!(documented.len() > 30, "{documented:?}");
    for side in SIDES {
        for (name, family) in whole_page(&site, side).await.families() {
            let told = documented.get(name.as_str()).unwrap_or_else(|| panic!("{name} is not documented"));
            assert_eq!(family.kind, told.kind, "{name}");
            assert_eq!(family.label_names(), told.labels, "{name}");
            assert!(told.page.starts_with("both") || told.page.starts_with(side), "{name} on the page of the {side}");
        }
    }
}

#[tokio::test]
async fn the_counts_move_with_the_recorded_flow() {
    let (site, _process, _) = after_an_order().await;
    let (orders, events) = (("destination", "order-processing-queue"), ("destination", "sync-events-queue"));
    let check = |page: &Scrape, name: &str, labels: &[(&str, &str)], expected: f64| {
        assert_eq!(page.sum(name, labels), Some(expected), "{name} {labels:?}");
    };
    let producer = scrape(&site, "producer").await;
    let sent = "messaging_client_sent_messages_total";
    check(&producer, sent, &[orders, ("outcome", "accepted")], 1.0);
    check(&producer, sent, &[events, ("outcome", "accepted")], 2.0);
    check(&producer, "orders_status_changes_total", &[("status", "PENDING")], 1.0);
    check(&producer, "orders_status_changes_total", &[("status", "COMPLETED")], 1.0);
    check(&producer, "orders_status_changes_total", &[("status", "FAILED")], 0.0);
    check(&producer, "orders_bus_state", &[("state", "up")], 1.0);
    check(&producer, "orders_bus_state", &[], 1.0);
    let posted = [("method", "POST"), ("route", "/api/orders"), ("status", "201")];
    check(&producer, "http_server_request_duration_seconds_count", &posted, 1.0);
    let put = [("method", "PUT"), ("route", "/api/sync/order/{orderNumber}/result"), ("status", "200")];
    check(&producer, "http_server_request_duration_seconds_count", &put, 1.0);
    assert!(producer.sum("orders_store_syncs_total", &[]) <= producer.sum("orders_store_commits_total", &[]));
    assert!(producer.sum("orders_store_syncs_total", &[]) >= Some(2.0), "the order, and its result");

    // The ack of the last event follows its effect.
    site.eventually("everything is settled", async || {
        let page = scrape(&site, "consumer").await;
        page.sum("messaging_client_settlements_total", &[("verdict", "ack"), ("outcome", "settled")]) == Some(4.0)
    })
    .await;
    let consumer = scrape(&site, "consumer").await;
    check(&consumer, sent, &[events, ("outcome", "accepted")], 1.0);
    for (queue, count) in [(orders, 1.0), (events, 3.0)] {
        check(&consumer, "messaging_client_consumed_messages_total", &[queue], count);
        check(&consumer, "messaging_client_settlements_total", &[queue], count);
        check(&consumer, "messaging_process_duration_seconds_count", &[queue, ("outcome", "ok")], count);
        check(&consumer, "messaging_process_attempts_count", &[queue], count);
        check(&consumer, "messaging_client_in_flight_messages", &[queue], 0.0);
        check(&consumer, "orders_pipelines", &[queue, ("state", "running")], 1.0);
        check(&consumer, "orders_pipelines", &[queue], 1.0);
    }
    check(&consumer, "orders_processed_total", &[("status", "COMPLETED")], 1.0);
    check(&consumer, "orders_results_total", &[("answer", "applied")], 1.0);
    check(&consumer, "orders_reconciler_mended_total", &[], 0.0);
    check(&consumer, "orders_reconciler_runs_total", &[("outcome", "failed")], 0.0);
}

const METHODS: [&str; 10] = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "_OTHER"];
const ROUTES: [&str; 17] = [
    "(none)",
    "/api/orders",
    "/api/orders/{orderNumber}",
    "/api/orders/{orderNumber}/cancel",
    "/api/sync/health",
    "/api/sync/orders",
    "/api/sync/order/{orderNumber}",
    "/api/sync/order/{orderNumber}/result",
    "/api/sync/reconcile",
    "/api/processed-orders",
    "/api/processed-orders/{orderNumber}",
    "/api/synced-orders",
    "/api/synced-orders/{orderNumber}",
    "/api/books",
    "/api/books/{orderNumber}",
    "/readyz",
    "/metrics",
];
const DESTINATIONS: [&str; 4] =
    ["order-processing-queue", "order-processing-queue-dlq", "sync-events-queue", "sync-events-queue-dlq"];

/// Whether a label may have this value: all but statuses and bounds of buckets are from short lists.
fn is_legal(label: &str, value: &str) -> bool {
    match label {
        "method" => METHODS.contains(&value),
        "route" => ROUTES.contains(&value),
        "destination" => DESTINATIONS.contains(&value),
        "group" => value.is_empty(),
        "status" => {
            ["PENDING", "COMPLETED", "FAILED", "CANCELLED", "cancelled"].contains(&value)
                || value.parse().is_ok_and(|status: u16| (100..600).contains(&status))
        }
        "le" => value == "+Inf" || value.parse::<f64>().is_ok(),
        "version" => value == env!("CARGO_PKG_VERSION"),
        "side" => SIDES.contains(&value),
        "bus" => value == "memory",
        // The words of the table: none has a digit.
        "outcome" | "state" | "verdict" | "operation" | "answer" | "what" => {
            value.len() < 16 && value.chars().all(|it| it.is_ascii_lowercase() || it == '_')
        }
        _ => false,
    }
}

#[tokio::test]
async fn no_label_has_values_without_end_whatever_is_ordered_and_asked_for() {
    let (site, _process, first) = after_an_order().await;
    let mut keys = vec![number(&first).to_owned()];
    for at in 0..5 {
        let key = format!("further-{at}");
        let order = completed(&site, &key).await;
        for side in SIDES {
            for method in [Method::GET, Method::DELETE, Method::from_bytes(b"BREW").expect("a method")] {
                let asked = site.client().request(method, url(&site, side, &format!("/nowhere/{key}"))).send().await;
                assert_eq!(asked.expect("answered").status(), StatusCode::NOT_FOUND);
            }
        }
        keys.extend([key, number(&order).to_owned()]);
    }
    keys.extend(["동기화테스트", "SyncEventListener", "nowhere", "BREW"].map(ToOwned::to_owned));
    for side in SIDES {
        let page = whole_page(&site, side).await;
        for series in page.series() {
            for (label, value) in &series.labels {
                assert!(is_legal(label, value), "{series:?}");
                assert!(!keys.iter().any(|key| value.contains(key)), "{series:?}");
            }
        }
        let count = page.series().count();
        assert!(count < 700, "the {side} has {count} series");
    }
}

#[tokio::test]
async fn the_pages_are_open_where_the_sync_routes_are_guarded() {
    let site = Site::new();
    let mut command = site.command(&["serve"]);
    let _process = site.until_ready(site.start_command(command.env("ORDERS_SYNC_TOKEN", "s3cret"))).await;
    for side in SIDES {
        let page = page(&site, side).await;
        assert!(!page.contains("s3cret"), "{page}");
        let head = site.client().head(url(&site, side, "/metrics")).send().await.expect("answered");
        assert_eq!(head.status(), StatusCode::OK);
    }
    let guarded = site.client().get(site.producer("/api/sync/health")).send().await.expect("answered");
    assert_eq!(guarded.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_requests_trace_reaches_every_handler_that_works_for_it() {
    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    let site = Site::new();
    let _process = site.start_ready(&["--log", "info,bus::middleware::tracing=info", "--reconcile-every", "1h"]).await;
    let request = site.client().post(site.producer("/api/orders")).json(&recorded());
    let request = request.header("traceparent", format!("00-{TRACE}-00f067aa0ba902b7-01"));
    let posted = request.send().await.expect("an answer");
    let order: Value = posted.json().await.expect("JSON");
    settled(&site, number(&order), "COMPLETED").await;
    let other = completed(&site, "another").await;
    let of = |number: &str| -> Vec<Value> {
        let is_handled = |line: &Value| line["order_number"] == number && line["span"].is_object();
        site.log_lines().into_iter().filter(is_handled).collect()
    };
    // The last line of an order is written after its effect can be seen.
    let is_told = |lines: &[Value]| lines.iter().filter(|line| line["event"] == "order_synced").count() == 2;
    site.eventually("both are told of", async || is_told(&of(number(&order))) && is_told(&of(number(&other)))).await;
    let traces = |number: &str| -> BTreeSet<String> {
        of(number).iter().map(|line| line["span"]["trace_id"].as_str().unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(traces(number(&order)), BTreeSet::from([TRACE.to_owned()]));
    let events: BTreeSet<String> =
        of(number(&order)).iter().map(|line| line["event"].as_str().unwrap_or_default().to_owned()).collect();
    for event in
        ["order_received", "payment_done", "order_processed", "sync_received", "result_applied", "order_synced"]
    {
        assert!(events.contains(event), "{event}: {events:?}");
    }
    let others = traces(number(&other));
    assert!(others.len() == 1 && !others.contains(TRACE), "an order without a trace begins one: {others:?}");
}
