//! Exposure: what a bus shows of itself, and what it costs the broker.

use std::error::Error as _;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use crate::conformance::World;
use crate::conformance::logbook::Logbook;
use crate::{
    ClockExt, Declaration, Delivery, Destination, Error, ExtendOutcome, Group, Outgoing, PublishOutcome, Receiver,
    SettleOutcome, SubscribeOptions, Subscription,
};

super::cases! { "exposure":
    secrets_appear_in_no_debug_no_error_and_no_log_line [Secrets],
    secrets_appear_in_nothing_that_an_outage_causes [Secrets, Outages],
    a_thousand_messages_cost_no_more_calls_than_stated [ApiCallCount],
}

/// Everything the bus has shown.
#[derive(Default)]
struct Shown(String);

impl Shown {
    fn error(&mut self, error: &Error) {
        let _ = writeln!(self.0, "{error} {error:?} {error:#?}");
        let mut source = error.source();
        while let Some(cause) = source {
            let _ = writeln!(self.0, "{cause} {cause:?}");
            source = cause.source();
        }
    }

    fn answer<T>(&mut self, answer: Result<T, Error>) {
        if let Err(error) = answer {
            self.error(&error);
        }
    }

    fn published(&mut self, outcomes: &[PublishOutcome]) {
        let _ = writeln!(self.0, "{outcomes:?}");
        for outcome in outcomes {
            if let PublishOutcome::Refused(error) | PublishOutcome::Unknown(error) = outcome {
                self.error(error);
            }
        }
    }

    fn settled(&mut self, outcomes: &[SettleOutcome]) {
        for outcome in outcomes {
            if let SettleOutcome::Failed(error) = outcome {
                self.error(error);
            }
        }
    }

    fn extended(&mut self, outcomes: &[ExtendOutcome]) {
        for outcome in outcomes {
            if let ExtendOutcome::Failed(error) = outcome {
                self.error(error);
            }
        }
    }

    fn bus(&mut self, world: &World) {
        let _ = writeln!(self.0, "{:?} {:#?} {}", world.bus, world.bus, world.bus.state());
    }

    fn assert_free_of_secrets(&self, world: &World, log: &Logbook) {
        for secret in world.harness().secrets() {
            for (where_found, text) in [("the bus and its errors", &self.0), ("the log", &log.text())] {
                let line = text.lines().find(|line| line.contains(secret));
                assert!(line.is_none(), "a secret of {} bytes in {where_found}: {line:?}", secret.len());
            }
        }
    }
}

async fn secrets_appear_in_no_debug_no_error_and_no_log_line(world: &World) {
    let log = Logbook::default();
    let guard = tracing::subscriber::set_default(log.clone());
    let destination = world.declared("exposed").await;
    let receiver = world.receiver(&destination).await;
    let mut shown = Shown::default();
    shown.bus(world);
    provoke(world, &mut shown, &destination, &receiver).await;
    shown.answer(world.bus.close(Duration::from_secs(30)).await);
    provoke(world, &mut shown, &destination, &receiver).await;
    shown.answer(receiver.receive(1, &mut Vec::new()).await);
    shown.bus(world);
    drop(guard);
    shown.assert_free_of_secrets(world, &log);
}

/// Makes each operation fail that can.
async fn provoke(world: &World, shown: &mut Shown, destination: &Destination, receiver: &Arc<dyn Receiver>) {
    let nowhere = world.undeclared("nowhere");
    let subscription = Subscription::to(nowhere.clone());
    let group = Group::new("exposed").expect("a legal name");
    let clash = Declaration::of(Destination::new(&format!("{destination}.exposed")).expect("a legal name"));
    shown.answer(world.bus.declare(&[clash]).await);
    let grouped = Declaration { destination: destination.clone(), groups: vec![group] };
    shown.answer(world.bus.declare(&[grouped]).await);
    shown.answer(world.bus.subscribe(&subscription, SubscribeOptions::default()).await.map(drop));
    let senseless = SubscribeOptions { prefetch_count_max: 0, lease: Some(Duration::ZERO) };
    shown.answer(world.bus.subscribe(&Subscription::to(destination.clone()), senseless).await.map(drop));
    shown.answer(world.bus.depth(&subscription).await);
    shown.answer(world.bus.purge(&subscription).await);
    let large = "x".repeat(world.capability().message_bytes_max.unwrap_or_default().min(2 << 20) + 1);
    let batch = vec![
        Outgoing::new(nowhere, world.message("1")),
        Outgoing::new(destination.clone(), world.message(&large)),
        Outgoing::new(destination.clone(), world.message("3")).delayed(Duration::MAX),
        Outgoing::new(destination.clone(), world.message("4")),
    ];
    shown.published(&world.bus.publish(batch).await);
    let mut into = Vec::new();
    if let Some(answer) = world.seams.clock.timeout_here(world.unit(), receiver.receive(1, &mut into)).await {
        shown.answer(answer);
    }
    let tokens: Vec<_> = into.iter().map(Delivery::token).collect();
    shown.extended(&receiver.extend(&tokens, Duration::MAX).await);
    let nacked = into.into_iter().map(|delivery| delivery.nack(Duration::MAX)).collect();
    shown.settled(&receiver.settle(nacked).await);
    shown.extended(&receiver.extend(&tokens, world.unit()).await);
}

async fn secrets_appear_in_nothing_that_an_outage_causes(world: &World) {
    let log = Logbook::default();
    let guard = tracing::subscriber::set_default(log.clone());
    let outages = world.harness().outages().expect("the case needs it");
    let destination = world.declared("outage").await;
    let receiver = world.receiver(&destination).await;
    let mut shown = Shown::default();
    for is_kill in [false, true] {
        let outage = async { if is_kill { outages.kill_and_restart().await } else { outages.cut().await } };
        let working = async {
            for _ in 0..20 {
                let batch = vec![Outgoing::new(destination.clone(), world.message("1"))];
                shown.published(&world.bus.publish(batch).await);
                shown.answer(world.bus.declare(&[Declaration::of(destination.clone())]).await);
                let mut into = Vec::new();
                let receiving = receiver.receive(1, &mut into);
                if let Some(answer) = world.seams.clock.timeout_here(world.unit() / 10, receiving).await {
                    shown.answer(answer);
                }
                shown.settled(&receiver.settle(into.into_iter().map(Delivery::ack).collect()).await);
                shown.bus(world);
            }
        };
        tokio::join!(outage, working);
    }
    drop(guard);
    shown.assert_free_of_secrets(world, &log);
}

async fn a_thousand_messages_cost_no_more_calls_than_stated(world: &World) {
    const COUNT: usize = 1_000;
    let calls = || world.harness().api_call_count().expect("the case needs it");
    let destination = world.declared("calls").await;
    let receiver = world.receiver(&destination).await;
    let before = calls();
    let batch: Vec<Outgoing> =
        (0..COUNT).map(|number| Outgoing::new(destination.clone(), world.message(&number.to_string()))).collect();
    for batch in batch.chunks(100) {
        world.publish_all(batch.to_vec()).await;
    }
    let mut left = COUNT;
    while left > 0 {
        let batch = world.take(&receiver, left.min(100)).await;
        left -= batch.len();
        world.ack(&receiver, batch).await;
    }
    let (made, most) = (calls() - before, world.harness().api_calls_per_message_max());
    let each = made as f64 / COUNT as f64;
    world.report(&format!("{each} calls per message over send, receive and settlement"));
    assert!(each <= most, "{each} calls per message, at most {most} are stated");
}
