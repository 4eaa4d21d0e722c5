//! The producer's side.

use std::time::Duration;

use bus::{ClockExt, Outgoing, TraceContext};
use bus_memory::MemoryOptions;
use tracing::Level;

use crate::capture::Capture;
use crate::rig::{FOREIGN, Rig, destination, from_elsewhere, message};

#[tokio::test(start_paused = true)]
async fn a_published_message_carries_the_ids_of_the_span_that_published_it() {
    let (capture, _guard) = Capture::start(Level::INFO);
    let rig = Rig::new().await;
    rig.publish("orders", message("m-1")).await;
    let context = rig.context_on("orders").await;
    let span = capture.span("publish");
    assert_eq!(span.get("trace_id"), context.trace_id().to_string());
    assert_eq!(span.get("span_id"), context.span_id().to_string());
    for (field, value) in [
        ("otel.name", "publish orders"),
        ("otel.kind", "producer"),
        ("messaging.operation.name", "publish"),
        ("messaging.operation.type", "send"),
        ("messaging.destination.name", "orders"),
        ("messaging.message.id", "m-1"),
        ("messaging.batch.message_count", ""),
        ("parent_span_id", ""),
        ("error.type", ""),
    ] {
        assert_eq!(span.get(field), value, "{field}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_one_span_and_each_message_an_event_of_a_trace_of_its_own() {
    let (capture, _guard) = Capture::start(Level::DEBUG);
    let rig = Rig::new().await;
    let batch = ["m-1", "m-2"].map(|id| Outgoing::new(destination("orders"), message(id)));
    let other = Outgoing::new(destination("events"), message("m-3"));
    rig.bus.publish(batch.into_iter().chain([other]).collect()).await;
    let span = capture.span("publish");
    assert_eq!(span.get("otel.name"), "publish");
    assert_eq!(span.get("otel.kind"), "client");
    assert_eq!(span.get("messaging.destination.name"), "");
    assert_eq!(span.get("messaging.batch.message_count"), "3");
    let events = capture.events("publishing");
    let mut on_the_bus = rig.waiting("orders").await;
    on_the_bus.extend(rig.waiting("events").await);
    let carried: Vec<_> =
        on_the_bus.iter().map(|delivery| TraceContext::of(delivery.message().headers()).unwrap()).collect();
    assert_eq!(events.len(), 3);
    for ((event, context), id) in events.iter().zip(&carried).zip(["m-1", "m-2", "m-3"]) {
        assert_eq!(event.get("messaging.message.id"), id);
        assert_eq!(event.get("trace_id"), context.trace_id().to_string());
        assert_eq!(event.get("span_id"), context.span_id().to_string());
        assert_eq!(capture.around(event).map(|span| span.name), Some("publish"));
    }
    let mut traces: Vec<_> = carried.iter().map(TraceContext::trace_id).collect();
    traces.dedup();
    assert_eq!(traces.len(), 3, "what has no cause in common has no trace in common");
}

#[tokio::test(start_paused = true)]
async fn a_message_that_belongs_to_a_trace_stays_in_it() {
    let rig = Rig::new().await;
    rig.publish("orders", from_elsewhere("m-1", FOREIGN)).await;
    let waiting = rig.waiting("orders").await;
    let headers = waiting[0].message().headers();
    assert_eq!(headers.text("traceparent"), Some(FOREIGN));
    assert_eq!(headers.text("tracestate"), Some("congo=t61rcWkgMzE"));
}

#[tokio::test(start_paused = true)]
async fn an_illegal_traceparent_is_replaced_with_its_state() {
    let rig = Rig::new().await;
    rig.publish("orders", from_elsewhere("m-1", "00-none-of-this-01")).await;
    assert_eq!(rig.context_on("orders").await.state(), None);
}

#[tokio::test(start_paused = true)]
async fn a_message_without_room_for_the_headers_goes_without_them() {
    let limit = 100;
    let rig = Rig::on(MemoryOptions { message_bytes_max: Some(limit), ..MemoryOptions::default() }).await;
    let sized = |bytes: usize| bus::Message::new(message("m").id().clone(), vec![b'x'; bytes]);
    rig.publish("orders", sized(limit)).await;
    rig.publish("orders", sized(limit - 65)).await;
    rig.publish("orders", sized(limit - 66)).await;
    let has_context: Vec<bool> = rig
        .waiting("orders")
        .await
        .iter()
        .map(|delivery| TraceContext::of(delivery.message().headers()).is_some())
        .collect();
    assert_eq!(has_context, [false, false, true]);
}

#[tokio::test(start_paused = true)]
async fn without_room_for_foreign_state_the_trace_goes_on_without_it() {
    let rig = Rig::on(MemoryOptions { message_bytes_max: Some(100), ..MemoryOptions::default() }).await;
    let cause = TraceContext::of(from_elsewhere("cause", FOREIGN).headers()).unwrap();
    let sized = |bytes: usize| bus::Message::new(message("m").id().clone(), vec![b'x'; bytes]);
    cause.clone().scope(rig.publish("orders", sized(34))).await;
    let context = rig.context_on("orders").await;
    assert_eq!((context.trace_id(), context.state()), (cause.trace_id(), None));
    cause.clone().scope(rig.publish("events", sized(1))).await;
    assert_eq!(rig.context_on("events").await.state(), cause.state());
}

#[tokio::test(start_paused = true)]
async fn an_error_and_a_dropped_call_are_told_by_kind() {
    let (capture, _guard) = Capture::start(Level::INFO);
    let rig = Rig::on(MemoryOptions { capacity_count: 1, ..MemoryOptions::default() }).await;
    let refused = rig.bus.publish(vec![Outgoing::new(destination("nowhere"), message("m-1"))]).await;
    assert!(!refused[0].is_accepted());
    rig.publish("orders", message("m-2")).await;
    let waits_for_room = rig.bus.publish(vec![Outgoing::new(destination("orders"), message("m-3"))]);
    assert!(rig.seams.clock.timeout(Duration::from_secs(1), waits_for_room).await.is_none());
    let spans = capture.spans("publish");
    let errors: Vec<&str> = spans.iter().map(|span| span.get("error.type")).collect();
    assert_eq!(errors, ["NotFound", "", "cancelled"]);
}

#[tokio::test(start_paused = true)]
async fn with_the_level_off_there_is_no_span_and_the_trace_is_there_all_the_same() {
    let (capture, _guard) = Capture::start(Level::WARN);
    let rig = Rig::new().await;
    rig.publish("orders", message("m-1")).await;
    rig.context_on("orders").await;
    assert!(capture.spans("publish").is_empty() && capture.events("publishing").is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_ids_of_a_run_repeat_with_its_seed() {
    let mut runs = Vec::new();
    for _ in 0..2 {
        let rig = Rig::new().await;
        rig.publish("orders", message("m-1")).await;
        runs.push(rig.context_on("orders").await);
    }
    assert_eq!(runs[0], runs[1]);
}
