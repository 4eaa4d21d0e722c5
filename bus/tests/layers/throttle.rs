use std::time::Duration;

use bus::layer::{LayerExt, Throttle};
use bus::middleware::{HandlerExt, Throttle as ThrottledStarts};
use bus::pipeline::{Envelope, Policy};
use bus::{Declaration, Destination, Outgoing, Rate};
use futures_util::FutureExt;

use crate::rig::*;
use crate::script::{Act, Script};

const TEN: Rate = Rate { count_per_second: 10, burst_count_max: 3 };

/// A throttled bus, and what reaches the bus behind the throttle.
async fn throttled() -> (Rig, Script) {
    let script = Script::always(Act::Pass);
    let rig = Rig::new().await.wrapped(|bus, seams| bus.layer(script.clone()).layer(Throttle::new(TEN, seams)));
    (rig, script)
}

#[tokio::test(start_paused = true)]
async fn messages_pass_at_the_rate_after_a_burst() {
    let (rig, _) = throttled().await;
    let begun = rig.now();
    let mut passed_ms = Vec::new();
    for _ in 0..6 {
        assert_eq!(words(&rig.publish(&["-1"]).await), ["accepted"]);
        passed_ms.push(rig.now().since(begun).as_millis());
    }
    assert_eq!(passed_ms, [0, 0, 0, 100, 200, 300]);
}

#[tokio::test(start_paused = true)]
async fn a_batch_larger_than_the_burst_goes_in_parts_with_its_outcomes_in_order() {
    let (rig, script) = throttled().await;
    let begun = rig.now();
    let undeclared = Destination::new("undeclared").expect("a legal name");
    let mut batch: Vec<Outgoing> = (0..8).map(|number| rig.outgoing(&format!("a{number}"))).collect();
    batch[4] = Outgoing::new(undeclared, batch[4].message().clone());
    let outcomes = words(&rig.bus.publish(batch).await);
    let expected: Vec<&str> = (0..8)
        // The bus refuses with it what stands behind it in its part.
        .map(|number| match number {
            4 => "refused NotFound",
            5 => "refused Conflict",
            _ => "accepted",
        })
        .collect();
    assert_eq!(outcomes, expected);
    assert_eq!(script.calls.all().iter().map(Vec::len).collect::<Vec<_>>(), [3, 3, 2]);
    assert_eq!(rig.now().since(begun).as_millis(), 500, "three at once, then five more at ten a second");
    assert_eq!(rig.bodies().await, ["a0", "a1", "a2", "a3", "a6", "a7"]);
}

#[tokio::test(start_paused = true)]
async fn a_bus_that_gets_its_batches_in_parts_is_not_atomic() {
    let rig = Rig::new().await;
    assert!(rig.bus.capability().publish_atomic);
    let rig = rig.wrapped(|bus, seams| bus.layer(Throttle::new(TEN, seams)));
    assert!(!rig.bus.capability().publish_atomic);
}

#[tokio::test(start_paused = true)]
async fn a_publish_dropped_while_it_waits_takes_nothing_of_the_rate() {
    let (rig, script) = throttled().await;
    assert_eq!(rig.publish(&["-1", "-2", "-3"]).await.len(), 3);
    let begun = rig.now();
    assert!(rig.within(Duration::from_millis(50), rig.publish(&["-4"])).await.is_none());
    assert_eq!(words(&rig.publish(&["-5"]).await), ["accepted"]);
    assert_eq!(rig.now().since(begun).as_millis(), 100, "as if nobody had waited before");
    assert_eq!(script.calls.all().concat(), ["-1", "-2", "-3", "-5"]);
}

#[tokio::test(start_paused = true)]
async fn closing_the_bus_ends_the_wait_of_publishers() {
    let (rig, _) = throttled().await;
    let begun = rig.now();
    let bodies: Vec<String> = (0..100).map(|number| format!("-{number}")).collect();
    let publish = rig.bus.publish(bodies.iter().map(|body| rig.outgoing(body)).collect());
    let close = async {
        rig.sleep(Duration::from_millis(150)).await;
        rig.bus.close(SECOND).await.expect("closed");
    };
    let (outcomes, ()) = futures_util::future::join(publish, close).await;
    assert_eq!(rig.now().since(begun).as_millis(), 150);
    let outcomes = words(&outcomes);
    assert_eq!(outcomes.iter().filter(|word| *word == "accepted").count(), 3);
    assert_eq!(outcomes.iter().filter(|word| *word == "refused Closed").count(), 97);
}

#[tokio::test(start_paused = true)]
async fn everything_else_passes_at_once() {
    let (rig, _) = throttled().await;
    assert_eq!(rig.publish(&["-1", "-2", "-3"]).await.len(), 3);
    let more = Declaration::of(Destination::new("more").expect("a legal name"));
    rig.bus.declare(&[more]).now_or_never().expect("no wait").expect("declared");
    assert!(rig.publish(&[]).now_or_never().expect("no wait").is_empty());
    assert_eq!(rig.bodies().await.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn handlers_start_at_the_rate() {
    let rig = Rig::new().await;
    assert_eq!(rig.publish(&["-1", "-2", "-3", "-4", "-5"]).await.len(), 5);
    let (starts_ms, begun, clock) = (Log::default(), rig.now(), rig.seams.clock.clone());
    let log = starts_ms.clone();
    let handler = move |_: Envelope| {
        log.add(clock.now().since(begun).as_millis());
        async { Ok(()) }
    };
    let rate = Rate { count_per_second: 10, burst_count_max: 2 };
    rig.run_pipeline(handler.with(ThrottledStarts::new(rate, &rig.seams)), Policy::default(), SECOND).await;
    assert_eq!(starts_ms.all(), [0, 0, 100, 200, 300]);
}

#[tokio::test(start_paused = true)]
async fn a_wait_longer_than_the_policys_timeout_fails_the_attempt() {
    let rig = Rig::new().await;
    assert_eq!(rig.publish(&["-1", "-2"]).await.len(), 2);
    let rate = Rate { count_per_second: 1, burst_count_max: 1 };
    let handler = (async |_: Envelope| Ok(())).with(ThrottledStarts::new(rate, &rig.seams));
    let policy = Policy { handler_timeout: SECOND / 2, attempt_count_max: 1, ..Policy::default() };
    rig.run_pipeline(handler, policy, SECOND * 5).await;
    let reasons: Vec<String> = rig.dead_letters().await.iter().map(|dead| text(dead.message())).collect();
    assert_eq!(reasons, ["-2"], "what is documented: the wait is part of the policy's time");
}
