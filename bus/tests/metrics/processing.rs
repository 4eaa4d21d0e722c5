//! What handlers do.

use std::sync::Arc;
use std::time::Duration;

use bus::middleware::{HandlerExt, Metering};
use bus::pipeline::{Backoff, Envelope, Failure, Handler, Pipeline, Policy};
use bus::{ClockExt, Group, Message, MessageId, Outgoing, Subscription};
use tokio_util::sync::CancellationToken;

use crate::rig::{Rig, orders};

#[tokio::test(start_paused = true)]
async fn every_run_is_counted_by_what_became_of_it() {
    let rig = Rig::new().await;
    rig.publish(&["done", "bad", "slow", "panics"]).await;
    let seams = rig.seams.clone();
    let handler = move |envelope: Envelope| {
        let seams = seams.clone();
        async move {
            match (&envelope.message().body()[..], envelope.attempt()) {
                (b"bad", 1) => Err(Failure::Retry("not yet".to_owned())),
                (b"bad", 2) => Err(Failure::RetryAfter(Duration::from_secs(1), "not yet".to_owned())),
                (b"bad", _) => Err(Failure::Reject("never".to_owned())),
                (b"slow", 1) => {
                    seams.clock.sleep(Duration::from_secs(60)).await;
                    Ok(())
                }
                (b"panics", 1) => panic!("as its name says"),
                _ => {
                    seams.clock.sleep(Duration::from_millis(250)).await;
                    Ok(())
                }
            }
        }
    };
    let handler = handler.with(Metering::new(rig.metrics.clone(), &rig.seams));
    let retry = Backoff { first: Duration::from_secs(1), max: Duration::from_secs(1) };
    let policy = Policy { handler_timeout: Duration::from_secs(5), retry, ..Policy::default() };
    let pipeline =
        Pipeline::new(Arc::clone(&rig.bus), Subscription::to(orders()), Arc::new(handler), rig.seams.clone());
    let shutdown = CancellationToken::new();
    let scenario = async {
        rig.pass(Duration::from_secs(1)).await;
        assert_eq!(rig.value("messaging_process_handlers_running"), 1, "the slow one");
        rig.pass(Duration::from_secs(3_600)).await;
        shutdown.cancel();
    };
    let (ended, ()) = tokio::join!(pipeline.with_policy(policy).run(shutdown.clone()), scenario);
    ended.expect("it could subscribe");
    let of = |outcome: &str, rest: &str| {
        format!("messaging_process_duration_seconds_{rest}{{destination=\"orders\",group=\"\",outcome=\"{outcome}\"}}")
    };
    assert_eq!(
        rig.scrape("messaging_process_duration_seconds_count"),
        [
            of("cancelled", "count") + " 1",
            of("ok", "count") + " 3",
            of("panicked", "count") + " 1",
            of("reject", "count") + " 1",
            of("retry", "count") + " 2",
        ]
    );
    let sums = rig.scrape("messaging_process_duration_seconds_sum");
    assert_eq!(sums[0], of("cancelled", "sum") + " 5.0");
    assert_eq!(sums[1], of("ok", "sum") + " 0.75");
    assert_eq!(rig.value("messaging_process_handlers_running"), 0);
    let attempts = rig.scrape("messaging_process_attempts");
    let at_most = |attempt: &str| {
        format!("messaging_process_attempts_bucket{{le=\"{attempt}\",destination=\"orders\",group=\"\"}}")
    };
    for line in [at_most("1.0") + " 4", at_most("2.0") + " 7", at_most("3.0") + " 8", at_most("5.0") + " 8"] {
        assert!(attempts.contains(&line), "{line} in {attempts:#?}");
    }
    assert_eq!(rig.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn lag_is_the_age_of_the_id_at_the_first_start_where_the_id_tells() {
    let rig = Rig::new().await;
    let handler = (async |_: Envelope| Ok(())).with(Metering::new(rig.metrics.clone(), &rig.seams));
    let subscription = Arc::new(Subscription::to(orders()));
    let envelope = |message: Message, attempt: u32| {
        let id = message.id().clone();
        Envelope::new(message, id, Arc::clone(&subscription), attempt, None)
    };
    let foreign = Message::new(MessageId::parse("646dc4b0-6c5e-4c02-bf76-032bdc36c3e4").expect("a legal id"), "");
    let ours = rig.message("ours");
    let from_the_future = {
        let later = bus::Seams::repeatable(jiff::Timestamp::from_second(1_000).expect("in range"), 1);
        Message::new(later.message_id("future"), "")
    };
    rig.pass(Duration::from_secs(90)).await;
    for (message, attempt) in [(foreign, 1), (ours.clone(), 1), (ours, 2), (from_the_future, 1)] {
        handler.handle(envelope(message, attempt)).await.expect("it answers Ok");
    }
    let lag = "messaging_process_delivery_lag_seconds";
    let labels = r#"destination="orders",group="""#;
    assert_eq!(rig.scrape(&format!("{lag}_count")), [format!("{lag}_count{{{labels}}} 2")]);
    assert_eq!(rig.scrape(&format!("{lag}_sum")), [format!("{lag}_sum{{{labels}}} 90.0")]);
    let buckets = rig.scrape(&format!("{lag}_bucket"));
    for (edge, count) in [("0.01", 1), ("60.0", 1), ("300.0", 2)] {
        assert!(buckets.contains(&format!("{lag}_bucket{{le=\"{edge}\",{labels}}} {count}")), "{buckets:#?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_of_two_subscriptions_counts_each_under_its_name() {
    let rig = Rig::new().await;
    let handler = (async |_: Envelope| Ok(())).with(Metering::new(rig.metrics.clone(), &rig.seams));
    let audit = Subscription::grouped(orders(), Group::new("audit").expect("a legal name"));
    for (subscription, runs) in [(Subscription::to(orders()), 2), (audit, 3)] {
        for _ in 0..runs {
            let message = rig.message("m");
            let id = message.id().clone();
            let envelope = Envelope::new(message, id, Arc::new(subscription.clone()), 1, None);
            handler.handle(envelope).await.expect("it answers Ok");
        }
    }
    let count = "messaging_process_duration_seconds_count";
    assert_eq!(
        rig.scrape(count),
        [
            format!(r#"{count}{{destination="orders",group="",outcome="ok"}} 2"#),
            format!(r#"{count}{{destination="orders",group="audit",outcome="ok"}} 3"#),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_for_want_of_a_destination_has_one_name() {
    let rig = Rig::new().await;
    for name in ["one", "another"] {
        let nowhere = bus::Destination::new(name).expect("a legal name");
        let outcomes = rig.bus.publish(vec![Outgoing::new(nowhere, rig.message("m"))]).await;
        assert!(!outcomes[0].is_accepted());
    }
    assert_eq!(
        rig.scrape("messaging_client_sent"),
        [r#"messaging_client_sent_messages_total{destination="(undeclared)",outcome="refused"} 2"#]
    );
}
