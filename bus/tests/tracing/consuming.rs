//! The consumer's side, and from one message to the next.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bus::inbox::{Committed, IdempotentReceiver, Inbox, Parts, UnitHandler, UnitOfWork};
use bus::pipeline::{Attempts, Begun, Envelope, Failure, Handled};
use bus::{ClockExt, MessageId, Outgoing, Result, Subscription, TraceContext};
use tracing::{Level, info};

use crate::capture::Capture;
use crate::rig::{FOREIGN, Rig, destination, from_elsewhere, message};

#[tokio::test(start_paused = true)]
async fn a_consumer_span_links_to_its_producer_and_continues_its_trace() {
    let (capture, _guard) = Capture::start(Level::INFO);
    let rig = Rig::new().await;
    rig.publish("orders", message("m-1")).await;
    rig.process(async |_: Envelope| {
        info!("in the handler");
        Ok(())
    })
    .await;
    let (producer, consumer) = (capture.span("publish"), capture.span("process"));
    assert_eq!(consumer.get("trace_id"), producer.get("trace_id"));
    assert_ne!(consumer.get("span_id"), producer.get("span_id"));
    assert_eq!(consumer.get("link.trace_id"), producer.get("trace_id"));
    assert_eq!(consumer.get("link.span_id"), producer.get("span_id"));
    assert_eq!(consumer.get("parent_span_id"), producer.get("span_id"));
    for (field, value) in [
        ("otel.name", "process orders"),
        ("otel.kind", "consumer"),
        ("messaging.operation.name", "process"),
        ("messaging.operation.type", "process"),
        ("messaging.destination.name", "orders"),
        ("messaging.consumer.group.name", ""),
        ("messaging.message.id", "m-1"),
        ("attempt", "1"),
        ("outcome", "ok"),
        ("error.type", ""),
    ] {
        assert_eq!(consumer.get(field), value, "{field}");
    }
    let log_line = capture.events("in the handler").remove(0);
    let around = capture.around(&log_line).expect("handlers run inside the span");
    assert_eq!(around.get("span_id"), consumer.get("span_id"));
}

#[tokio::test(start_paused = true)]
async fn what_a_handler_publishes_is_a_child_of_its_span() {
    let (capture, _guard) = Capture::start(Level::DEBUG);
    let rig = Rig::new().await;
    rig.publish("orders", message("m-1")).await;
    let (bus, seams) = (Arc::clone(&rig.bus), rig.seams.clone());
    rig.process(move |_: Envelope| {
        let (bus, seams) = (Arc::clone(&bus), seams.clone());
        async move {
            // The handler is polled again later: the span must still be the current one.
            seams.clock.sleep(Duration::from_secs(1)).await;
            let outcomes = bus.publish(vec![Outgoing::new(destination("events"), message("m-2"))]).await;
            assert!(outcomes[0].is_accepted());
            Ok(())
        }
    })
    .await;
    let consumer = capture.span("process");
    let caused = rig.context_on("events").await;
    assert_eq!(caused.trace_id().to_string(), consumer.get("trace_id"));
    assert_ne!(caused.span_id().to_string(), consumer.get("span_id"));
    let spans = capture.spans("publish");
    let published = spans.last().expect("the second");
    assert_eq!(published.get("span_id"), caused.span_id().to_string());
    assert_eq!(published.get("parent_span_id"), consumer.get("span_id"));
    assert_eq!(capture.around(published).map(|span| span.name), Some("process"));
    let told = capture.events("publishing");
    assert_eq!(told.last().map(|event| event.get("parent_span_id")), Some(consumer.get("span_id")));
}

#[tokio::test(start_paused = true)]
async fn handlers_that_run_at_the_same_time_do_not_see_each_others_spans() {
    let rig = Rig::new().await;
    for id in ["m-1", "m-2", "m-3"] {
        rig.publish("orders", message(id)).await;
    }
    let seams = rig.seams.clone();
    let spans = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&spans);
    rig.process(move |envelope: Envelope| {
        let (seams, seen) = (seams.clone(), Arc::clone(&seen));
        async move {
            let before = TraceContext::current().unwrap();
            for _ in 0..3 {
                seams.clock.sleep(Duration::from_millis(300)).await;
                assert_eq!(TraceContext::current().as_ref(), Some(&before));
            }
            let of_message = TraceContext::of(envelope.message().headers()).unwrap();
            assert_eq!(before.trace_id(), of_message.trace_id());
            seen.lock().unwrap().push(before.span_id());
            Ok(())
        }
    })
    .await;
    let mut spans = spans.lock().unwrap().clone();
    spans.sort();
    spans.dedup();
    assert_eq!(spans.len(), 3);
    assert_eq!(TraceContext::current(), None);
}

#[tokio::test(start_paused = true)]
async fn a_foreign_producers_trace_is_continued_with_its_state() {
    let (capture, _guard) = Capture::start(Level::INFO);
    let rig = Rig::new().await;
    let foreign = Outgoing::new(destination("orders"), from_elsewhere("m-1", FOREIGN));
    assert!(rig.bare.publish(vec![foreign]).await[0].is_accepted());
    let bus = Arc::clone(&rig.bus);
    rig.process(move |_: Envelope| {
        let bus = Arc::clone(&bus);
        async move {
            let _ = bus.publish(vec![Outgoing::new(destination("events"), message("m-2"))]).await;
            Ok(())
        }
    })
    .await;
    let consumer = capture.span("process");
    assert_eq!(consumer.get("link.trace_id"), "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(consumer.get("link.span_id"), "00f067aa0ba902b7");
    let caused = rig.context_on("events").await;
    assert_eq!(caused.trace_id().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(caused.state().map(|state| &state[..]), Some(&b"congo=t61rcWkgMzE"[..]));
}

#[tokio::test(start_paused = true)]
async fn an_illegal_traceparent_begins_a_new_trace_and_fails_nothing() {
    let (capture, _guard) = Capture::start(Level::INFO);
    let rig = Rig::new().await;
    let upper_case = "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01";
    let foreign = Outgoing::new(destination("orders"), from_elsewhere("m-1", upper_case));
    assert!(rig.bare.publish(vec![foreign]).await[0].is_accepted());
    rig.process(async |_: Envelope| Ok(())).await;
    let consumer = capture.span("process");
    assert_eq!((consumer.get("outcome"), consumer.get("trace_id").len()), ("ok", 32));
    assert!(!consumer.get("trace_id").eq_ignore_ascii_case("4bf92f3577b34da6a3ce929d0e0e4736"));
    for field in ["link.trace_id", "link.span_id", "parent_span_id"] {
        assert_eq!(consumer.get(field), "", "{field}");
    }
}

#[tokio::test(start_paused = true)]
async fn every_attempt_is_a_span_of_its_own_that_links_to_the_same_producer() {
    let (capture, _guard) = Capture::start(Level::INFO);
    let rig = Rig::new().await;
    rig.publish("orders", message("m-1")).await;
    let seams = rig.seams.clone();
    rig.process(move |envelope: Envelope| {
        let seams = seams.clone();
        async move {
            match envelope.attempt() {
                1 => Err(Failure::Retry("not yet".to_owned())),
                2 => {
                    seams.clock.sleep(Duration::from_secs(60)).await;
                    panic!("its time was over long ago");
                }
                _ => Err(Failure::Reject("never".to_owned())),
            }
        }
    })
    .await;
    let (producer, attempts) = (capture.span("publish"), capture.spans("process"));
    let told: Vec<_> = attempts.iter().map(|span| (span.get("attempt"), span.get("outcome"))).collect();
    assert_eq!(told, [("1", "retry"), ("2", "cancelled"), ("3", "reject")]);
    let mut spans: Vec<_> = attempts.iter().map(|span| span.get("span_id")).collect();
    spans.sort_unstable();
    spans.dedup();
    assert_eq!(spans.len(), 3);
    for attempt in &attempts {
        assert_eq!(attempt.get("link.span_id"), producer.get("span_id"));
        assert_eq!(attempt.get("error.type"), attempt.get("outcome"));
    }
}

/// Keeps what was committed, like a store.
#[derive(Default)]
struct Outbox(Mutex<Vec<Outgoing>>);

#[async_trait]
impl Attempts for Outbox {
    async fn begin(&self, _: &Subscription, messages: &[MessageId]) -> Result<Vec<Begun>> {
        Ok(messages.iter().map(|_| Begun::Attempt(1)).collect())
    }

    async fn forgive(&self, _: &Subscription, _: &[MessageId]) -> Result<()> {
        Ok(())
    }

    async fn forget(&self, _: &Subscription, _: &MessageId) -> Result<()> {
        Ok(())
    }
}

#[async_trait]
impl Inbox for Outbox {
    type Effects = ();

    async fn commit(&self, parts: Parts<()>) -> Result<Committed> {
        self.0.lock().expect("nobody panicked with it").extend(parts.outgoing);
        Ok(Committed::Applied)
    }
}

struct Answers;

#[async_trait]
impl UnitHandler<()> for Answers {
    async fn handle(&self, _: &Envelope, unit: &mut UnitOfWork<()>) -> Handled {
        unit.send(Outgoing::new(destination("events"), message("m-2")));
        unit.send(Outgoing::new(destination("events"), from_elsewhere("m-3", FOREIGN)));
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_row_of_the_outbox_keeps_its_cause_until_the_relay_publishes_it() {
    let (capture, _guard) = Capture::start(Level::INFO);
    let rig = Rig::new().await;
    rig.publish("orders", message("m-1")).await;
    let outbox = Arc::new(Outbox::default());
    rig.process(IdempotentReceiver::new(Arc::clone(&outbox), Answers)).await;
    let rows = std::mem::take(&mut *outbox.0.lock().unwrap());
    // What the relay does, outside of any handler.
    for outcome in rig.bus.publish(rows).await {
        assert!(outcome.is_accepted());
    }
    let consumer = capture.span("process");
    let waiting = rig.waiting("events").await;
    let caused = TraceContext::of(waiting[0].message().headers()).unwrap();
    assert_eq!(caused.trace_id().to_string(), consumer.get("trace_id"));
    assert_eq!(caused.span_id().to_string(), consumer.get("span_id"));
    assert_eq!(waiting[1].message().headers().text("traceparent"), Some(FOREIGN), "its own trace is kept");
}
