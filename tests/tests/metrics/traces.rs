//! One trace from a request to everything that is done for it, over outbox, bus and HTTP.

use std::collections::BTreeSet;
use std::time::Duration;

use bus::{BusExt, ClockExt, Message, MessageId, MessageKey, Outgoing};
use bus_memory::{MemoryBus, MemoryOptions};
use tests::world::sync_queue;

use crate::shop::{Run, Shop, seams};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const TRACEPARENT: (&str, &str) = ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");

async fn shop() -> Shop {
    let seams = seams();
    Shop::on(MemoryBus::new(seams.clone(), MemoryOptions::default()), seams).await
}

/// The runs of handlers for an order that was placed with these headers and completed.
async fn runs(shop: &Shop, headers: &[(&'static str, &str)]) -> Vec<Run> {
    shop.alongside(async {
        let number = shop.place(headers).await;
        while shop.runs.of(&number).len() < 4 {
            shop.seams.clock.sleep(Duration::from_millis(10)).await;
        }
        shop.runs.of(&number)
    })
    .await
}

fn traces(runs: &[Run]) -> BTreeSet<String> {
    runs.iter().map(|run| run.context.trace_id().to_string()).collect()
}

#[tokio::test(start_paused = true)]
async fn every_handler_continues_the_requests_trace_in_a_span_of_its_own() {
    let runs = runs(&shop().await, &[TRACEPARENT, ("tracestate", "congo=t61rcWkgMzE")]).await;
    let mut destinations: Vec<&str> = runs.iter().map(|run| run.destination.as_str()).collect();
    destinations.sort_unstable();
    assert_eq!(destinations, ["order-processing-queue", "sync-events-queue", "sync-events-queue", "sync-events-queue"]);
    assert_eq!(traces(&runs), BTreeSet::from([TRACE.to_owned()]));
    let spans: BTreeSet<_> = runs.iter().map(|run| run.context.span_id()).collect();
    assert_eq!(spans.len(), 4);
    for run in &runs {
        assert_eq!(run.context.state().map(|state| &state[..]), Some(&b"congo=t61rcWkgMzE"[..]), "{run:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_has_no_trace_begins_one() {
    let long = "a".repeat(513);
    for headers in [
        &[][..],
        &[("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01")],
        &[("traceparent", "unreadable"), ("tracestate", "congo=t61rcWkgMzE")],
        &[TRACEPARENT, TRACEPARENT],
    ] {
        let runs = runs(&shop().await, headers).await;
        let traces = traces(&runs);
        assert!(traces.len() == 1 && !traces.contains(TRACE), "{headers:?}: {traces:?}");
        assert!(runs.iter().all(|run| run.context.state().is_none()), "{headers:?}: {runs:?}");
    }
    let runs = runs(&shop().await, &[TRACEPARENT, ("tracestate", &long)]).await;
    assert_eq!(traces(&runs), BTreeSet::from([TRACE.to_owned()]));
    assert!(runs.iter().all(|run| run.context.state().is_none()), "it would travel with every message: {runs:?}");
}

#[tokio::test(start_paused = true)]
async fn a_foreign_state_that_http_cannot_carry_fails_no_message() {
    let (seams, shop_bus) = (seams(), MemoryOptions::default());
    let bus = MemoryBus::new(seams.clone(), shop_bus);
    let shop = Shop::on(std::sync::Arc::clone(&bus) as _, seams).await;
    shop.alongside(async {
        let number = shop.place(&[]).await;
        let event = format!(r#"{{"eventType":"ORDER_UPDATED","entityKey":"{number}","messageId":"m"}}"#);
        let headers = [(TRACEPARENT.0, TRACEPARENT.1), ("tracestate", "two\r\nlines")].into_iter().collect();
        let message = Message::foreign(MessageId::parse("m").expect("an id"), event)
            .with_key(MessageKey::new(&number).expect("a key"))
            .with_headers(headers);
        assert!(bus.publish_one(Outgoing::new(sync_queue(), message)).await.is_accepted());
        shop.seams.clock.sleep(Duration::from_secs(5)).await;
        let page = crate::shop::scrape(&shop.consumer).await;
        assert_eq!(page.sum("messaging_process_duration_seconds_count", &[]), Some(5.0));
        assert_eq!(page.sum("messaging_process_duration_seconds_count", &[("outcome", "ok")]), Some(5.0));
        assert!(traces(&shop.runs.of(&number)).contains(TRACE));
    })
    .await;
}
