use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bus::layer::{CircuitBreaker, CircuitPolicy, LayerExt};
use bus::middleware::{CircuitBreaker as OutageBreaker, HandlerExt, OutagePolicy};
use bus::pipeline::{Backoff, Envelope, Failure, Handler, Poison, Policy};
use bus::{BusState, ErrorKind, dead_letter};

use crate::rig::*;
use crate::script::{Act, Script};

const POLICY: CircuitPolicy =
    CircuitPolicy { failure_count_max: 3, probe: Backoff { first: SECOND, max: Duration::from_secs(8) } };

/// A bus behind a breaker, and the script that fails it.
async fn broken(act: Act) -> (Rig, Script) {
    let script = Script::always(act);
    let rig =
        Rig::new().await.wrapped(|bus, seams| bus.layer(script.clone()).layer(CircuitBreaker::new(POLICY, seams)));
    (rig, script)
}

/// Fails until the circuit is open.
async fn trip(rig: &Rig) {
    for _ in 0..POLICY.failure_count_max {
        assert_eq!(rig.bus.state(), BusState::Up);
        assert_eq!(rig.publish(&["-1"]).await.len(), 1);
    }
    assert!(matches!(rig.bus.state(), BusState::Degraded(_)), "{:?}", rig.bus.state());
}

#[tokio::test(start_paused = true)]
async fn after_failures_in_a_row_it_refuses_without_a_call_and_says_why_and_until_when() {
    for act in [Act::Lose, Act::Refuse(ErrorKind::Unavailable), Act::Refuse(ErrorKind::Throttled)] {
        let (rig, script) = broken(act).await;
        trip(&rig).await;
        let outcomes = rig.publish(&["-1", "a1"]).await;
        assert_eq!(words(&outcomes), ["refused Unavailable", "refused Unavailable"]);
        let error = error_of(&outcomes[1]);
        assert!(error.is_retryable());
        let text = error.to_string();
        assert!(text.contains("3 publishes in a row failed, the last with"), "{text}");
        assert!(text.contains("as the script says") && text.contains("tried again in"), "{text}");
        assert_eq!(script.calls.count(), 3, "{act:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_accepted_message_of_a_batch_is_a_success() {
    let script = Script::of(|call, body| if body == "-1" && call % 3 == 0 { Act::Pass } else { Act::Lose });
    let rig =
        Rig::new().await.wrapped(|bus, seams| bus.layer(script.clone()).layer(CircuitBreaker::new(POLICY, seams)));
    for _ in 0..9 {
        assert_eq!(rig.publish(&["-1", "-2"]).await.len(), 2);
    }
    assert_eq!((script.calls.count(), rig.bus.state()), (9, BusState::Up));
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_for_its_own_sake_neither_opens_nor_closes_it() {
    let (rig, script) = broken(Act::Refuse(ErrorKind::TooLarge)).await;
    for _ in 0..10 {
        assert_eq!(words(&rig.publish(&["-1"]).await), ["refused TooLarge"]);
    }
    assert_eq!(script.calls.count(), 10);
    script.now_always(Act::Lose);
    trip(&rig).await;
    script.now_always(Act::Refuse(ErrorKind::TooLarge));
    rig.sleep(2 * SECOND).await;
    assert_eq!(words(&rig.publish(&["-1"]).await), ["refused TooLarge"]);
    assert!(matches!(rig.bus.state(), BusState::Degraded(_)), "a bad message does not say that the bus is back");
    script.now_always(Act::Pass);
    assert_eq!(words(&rig.publish(&["-1"]).await), ["accepted"], "nor that it is not: the next one tries");
}

#[tokio::test(start_paused = true)]
async fn one_call_tries_and_closes_it_while_the_others_are_refused() {
    let (rig, script) = broken(Act::Lose).await;
    trip(&rig).await;
    script.now_always(Act::Hang);
    rig.sleep(2 * SECOND).await;
    assert!(rig.within(SECOND, rig.publish(&["-2"])).await.is_none());
    let others = async { rig.within(SECOND / 2, rig.publish(&["-4"])).await.expect("an answer at once") };
    let (_, refused) = tokio::join!(rig.within(SECOND, rig.publish(&["-3"])), others);
    assert_eq!(words(&refused), ["refused Unavailable"]);
    assert_eq!(script.calls.all()[3..].concat(), ["-2", "-3"], "a try that was dropped leaves it to the next one");
    script.now_always(Act::Pass);
    assert_eq!(words(&rig.publish(&["-5"]).await), ["accepted"]);
    assert_eq!(rig.bus.state(), BusState::Up);
    script.now_always(Act::Lose);
    assert_eq!(rig.publish(&["-6"]).await.len(), 1);
    assert_eq!(rig.bus.state(), BusState::Up, "it counts from the beginning again");
}

#[tokio::test(start_paused = true)]
async fn the_pause_grows_with_each_try_that_fails() {
    let (rig, script) = broken(Act::Lose).await;
    trip(&rig).await;
    let begun = rig.now();
    let mut tries_ms = Vec::new();
    while tries_ms.len() < 5 {
        let before = script.calls.count();
        assert_eq!(rig.publish(&["-1"]).await.len(), 1);
        if script.calls.count() > before {
            tries_ms.push(rig.now().since(begun).as_millis());
        }
        rig.sleep(SECOND / 100).await;
    }
    let pauses: Vec<u128> =
        std::iter::once(tries_ms[0]).chain(tries_ms.windows(2).map(|two| two[1] - two[0])).collect();
    for (pause, base_ms) in pauses.iter().zip([1_000, 2_000, 4_000, 8_000, 8_000]) {
        assert!((base_ms..=2 * base_ms + 10).contains(pause), "{pauses:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_closed_bus_answers_for_itself_though_the_circuit_is_open() {
    let (rig, script) = broken(Act::Lose).await;
    trip(&rig).await;
    rig.bus.close(SECOND).await.expect("closed");
    script.now_always(Act::Pass);
    assert_eq!(words(&rig.publish(&["-1"]).await), ["refused Closed"]);
    assert!(matches!(rig.bus.state(), BusState::Down(_)));
}

/// Fails while its dependency is down, and for one body always.
fn dependent(
    is_down: &Arc<AtomicBool>,
    done: &Log<String>,
    runs: &Log<String>,
    bad: &'static str,
) -> impl Handler + 'static {
    let (is_down, done, runs) = (Arc::clone(is_down), done.clone(), runs.clone());
    move |envelope: Envelope| {
        let body = text(envelope.message());
        runs.add(body.clone());
        let fails = is_down.load(Ordering::Relaxed) || body == bad;
        let done = done.clone();
        async move {
            if fails {
                return Err(Failure::Retry("no route to host".to_owned()));
            }
            done.add(body);
            Ok(())
        }
    }
}

const THREE_ATTEMPTS: Policy = Policy {
    concurrency_max: 4,
    prefetch_count_max: 8,
    handler_timeout: Duration::from_secs(30),
    attempt_count_max: 3,
    retry: Backoff { first: Duration::from_millis(100), max: SECOND },
    probe: Backoff { first: Duration::from_millis(500), max: Duration::from_secs(10) },
    order_per_key: true,
    lease: None,
    drain: SECOND,
    poison: Poison::Skip,
};

async fn outage(rig: &Rig, handler: impl Handler + 'static, is_down: &AtomicBool) {
    let end = async {
        rig.sleep(60 * SECOND).await;
        is_down.store(false, Ordering::Relaxed);
    };
    tokio::join!(rig.run_pipeline(handler, THREE_ATTEMPTS, 300 * SECOND), end);
}

#[tokio::test(start_paused = true)]
async fn an_outage_the_handler_does_not_recognize_costs_no_message_its_attempts() {
    let bodies: Vec<String> = (0..20).map(|number| format!("-{number}")).collect();
    let bodies: Vec<&str> = bodies.iter().map(String::as_str).collect();
    for is_guarded in [true, false] {
        let rig = Rig::new().await;
        assert_eq!(rig.publish(&bodies).await.len(), 20);
        let (is_down, done, runs) = (Arc::new(AtomicBool::new(true)), Log::default(), Log::default());
        let handler = dependent(&is_down, &done, &runs, "none");
        if is_guarded {
            outage(&rig, handler.with(OutageBreaker::new(OutagePolicy::default())), &is_down).await;
            assert_eq!((done.count(), rig.dead_letters().await.len()), (20, 0));
            assert!(runs.count() < 60, "it pauses: {} runs", runs.count());
        } else {
            outage(&rig, handler, &is_down).await;
            assert_eq!((done.count(), rig.dead_letters().await.len()), (0, 20), "or the outage shows nothing");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_that_fails_alone_goes_to_the_dead_letters_after_its_attempts() {
    let rig = Rig::new().await;
    assert_eq!(rig.publish(&["-0", "-1", "-2"]).await.len(), 3);
    let (is_down, done, runs) = (Arc::new(AtomicBool::new(false)), Log::default(), Log::default());
    let handler = dependent(&is_down, &done, &runs, "-1").with(OutageBreaker::new(OutagePolicy::default()));
    rig.run_pipeline(handler, THREE_ATTEMPTS, 10 * SECOND).await;
    assert_eq!(done.all(), ["-0", "-2"]);
    assert_eq!(runs.all().iter().filter(|body| *body == "-1").count(), 3);
    let dead = rig.dead_letters().await;
    assert!(dead[0].message().headers().text(dead_letter::REASON).expect("a reason").contains("attempt 3 of 3"));
}

#[tokio::test(start_paused = true)]
async fn a_bad_message_that_probes_after_an_outage_does_not_keep_the_others_back() {
    let rig = Rig::new().await;
    let bodies: Vec<String> = (0..8).map(|number| format!("-{number}")).collect();
    let bodies: Vec<&str> = bodies.iter().map(String::as_str).collect();
    assert_eq!(rig.publish(&bodies).await.len(), 8);
    let (is_down, done, runs) = (Arc::new(AtomicBool::new(true)), Log::default(), Log::default());
    // It comes first, so it is what the pipeline probes with.
    let handler = dependent(&is_down, &done, &runs, "-0").with(OutageBreaker::new(OutagePolicy::default()));
    outage(&rig, handler, &is_down).await;
    assert_eq!(done.count(), 7, "{:?}", done.all());
    assert_eq!(bodies_of_the_dead(&rig).await, ["-0"]);
}

async fn bodies_of_the_dead(rig: &Rig) -> Vec<String> {
    crate::rig::bodies(&rig.dead_letters().await)
}

#[tokio::test(start_paused = true)]
async fn failures_with_successes_between_them_are_no_outage() {
    let rig = Rig::new().await;
    let bodies: Vec<String> = (0..60).map(|number| format!("-{number}")).collect();
    assert_eq!(rig.publish(&bodies.iter().map(String::as_str).collect::<Vec<_>>()).await.len(), 60);
    let handler = (async |envelope: Envelope| match text(envelope.message()).ends_with('0') {
        true => Err(Failure::Retry("bad".to_owned())),
        false => Ok(()),
    })
    .with(OutageBreaker::new(OutagePolicy::default()));
    // One at a time, so that no two bad ones follow each other before their last attempts.
    let policy = Policy { concurrency_max: 1, attempt_count_max: 1, ..THREE_ATTEMPTS };
    rig.run_pipeline(handler, policy, 10 * SECOND).await;
    assert_eq!(bodies_of_the_dead(&rig).await, ["-0", "-10", "-20", "-30", "-40", "-50"]);
}

#[tokio::test(start_paused = true)]
async fn other_failures_pass_and_prove_nothing() {
    let rig = Rig::new().await;
    let breaker = OutageBreaker::new(OutagePolicy { message_count_max: 2, excuse_count_max: 1 });
    let answers = Log::default();
    let script = answers.clone();
    let handler = (move |_: Envelope| {
        let answer: Failure = script.all().last().cloned().expect("an answer");
        async move { Err(answer) }
    })
    .with(breaker);
    let subscription = Arc::new(bus::Subscription::to(orders()));
    let envelope = |body: &str| {
        let message = rig.outgoing(body).message().clone();
        Envelope::new(message.clone(), message.id().clone(), Arc::clone(&subscription), 1, None)
    };
    for failure in [
        Failure::Reject("bad".to_owned()),
        Failure::RetryAfter(SECOND, "later".to_owned()),
        Failure::Unavailable("down".to_owned()),
        Failure::Retry("one".to_owned()),
        Failure::Reject("bad".to_owned()),
    ] {
        answers.add(failure.clone());
        assert_eq!(handler.handle(envelope("-1")).await, Err(failure));
    }
    answers.add(Failure::Retry("two".to_owned()));
    assert!(matches!(handler.handle(envelope("-2")).await, Err(Failure::Unavailable(_))));
}
