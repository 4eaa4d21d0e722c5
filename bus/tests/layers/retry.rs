use std::time::Duration;

use bus::layer::{LayerExt, Retry, RetryPolicy};
use bus::middleware::{HandlerExt, Retry as RetryInPlace};
use bus::pipeline::{Backoff, Envelope, Failure, Policy};
use bus::{Destination, ErrorKind, Outgoing};

use crate::rig::*;
use crate::script::{Act, Script};

const BACKOFF: Backoff = Backoff { first: Duration::from_millis(100), max: SECOND };
const POLICY: RetryPolicy = RetryPolicy { publish_count_max: 5, time_max: Duration::from_secs(30), backoff: BACKOFF };

fn retrying(rig: Rig, policy: RetryPolicy, script: &Script) -> Rig {
    rig.wrapped(|bus, seams| bus.layer(script.clone()).layer(Retry::new(policy, seams)))
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_for_now_or_unknown_is_published_again_until_it_is_accepted() {
    for is_atomic in [true, false] {
        for act in [Act::Lose, Act::Refuse(ErrorKind::Unavailable), Act::Refuse(ErrorKind::Throttled)] {
            let script = Script::of(move |call, _| if call < 4 { act } else { Act::Pass });
            let rig = if is_atomic { Rig::new().await } else { Rig::one_by_one().await };
            let rig = retrying(rig, POLICY, &script);
            assert_eq!(words(&rig.publish(&["a1", "-1"]).await), ["accepted", "accepted"]);
            assert_eq!(rig.bodies().await, ["a1", "-1"], "each of them once");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_whose_answer_was_lost_is_there_twice_under_one_id() {
    for rig in [Rig::new().await, Rig::one_by_one().await] {
        let script = Script::of(|call, _| if call == 1 { Act::LoseAnswer } else { Act::Pass });
        let rig = retrying(rig, POLICY, &script);
        assert_eq!(words(&rig.publish(&["-1"]).await), ["accepted"]);
        let twice = rig.poll(&rig.receiver().await).await;
        assert_eq!(twice.len(), 2);
        assert_eq!(twice[0].message(), twice[1].message());
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_for_good_is_not_published_again() {
    for kind in [ErrorKind::Closed, ErrorKind::TooLarge, ErrorKind::NotFound, ErrorKind::Unauthorized] {
        for rig in [Rig::new().await, Rig::one_by_one().await] {
            let script = Script::always(Act::Refuse(kind));
            let rig = retrying(rig, POLICY, &script);
            let begun = rig.now();
            assert_eq!(words(&rig.publish(&["-1"]).await), [format!("refused {kind:?}")]);
            assert_eq!((script.calls.count(), rig.now()), (1, begun));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_may_be_on_the_bus_is_never_called_refused() {
    for kind in [ErrorKind::Closed, ErrorKind::Unavailable] {
        for rig in [Rig::new().await, Rig::one_by_one().await] {
            let script = Script::of(move |call, _| if call == 1 { Act::LoseAnswer } else { Act::Refuse(kind) });
            let rig = retrying(rig, POLICY, &script);
            assert_eq!(words(&rig.publish(&["-1"]).await), [format!("unknown {kind:?}")]);
            assert_eq!(rig.bodies().await, ["-1"]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn it_gives_up_after_so_many_publishes_and_after_so_much_time() {
    for rig in [Rig::new().await, Rig::one_by_one().await] {
        let script = Script::always(Act::Lose);
        let rig = retrying(rig, POLICY, &script);
        assert_eq!(words(&rig.publish(&["-1"]).await), ["unknown Timeout"]);
        assert_eq!(script.calls.count(), 5);
    }
    for rig in [Rig::new().await, Rig::one_by_one().await] {
        let script = Script::always(Act::Lose);
        let policy = RetryPolicy { publish_count_max: u32::MAX, time_max: 10 * SECOND, ..POLICY };
        let rig = retrying(rig, policy, &script);
        let outcomes = rig.within(10 * SECOND, rig.publish(&["-1"])).await.expect("it gives up in time");
        assert_eq!(words(&outcomes), ["unknown Timeout"]);
        assert!(script.calls.count() > 5, "{} calls", script.calls.count());
    }
}

#[tokio::test(start_paused = true)]
async fn without_atomic_batches_a_message_waits_for_the_one_before_it_and_other_keys_do_not() {
    let script = Script::of(|call, body| if body == "a1" && call < 4 { Act::LoseAnswer } else { Act::Pass });
    let rig = retrying(Rig::one_by_one().await, POLICY, &script);
    let outcomes = rig.publish(&["a1", "b1", "a2", "b2", "-1", "b3", "a3"]).await;
    assert_eq!(words(&outcomes), ["accepted"; 7]);
    let calls: Vec<String> = script.calls.all().iter().map(|call| call.join(" ")).collect();
    assert_eq!(calls, ["a1 b1 -1", "b2", "b3", "a1", "a2", "a3"]);
    let received = rig.bodies().await;
    let of_a: Vec<&String> = received.iter().filter(|body| body.starts_with('a')).collect();
    assert_eq!(of_a, ["a1", "a1", "a2", "a3"], "in order, whatever came twice");
}

#[tokio::test(start_paused = true)]
async fn without_atomic_batches_what_stands_behind_a_message_given_up_is_held_back() {
    let script = Script::of(|_, body| if body == "a2" { Act::Lose } else { Act::Pass });
    let rig = retrying(Rig::one_by_one().await, POLICY, &script);
    let outcomes = rig.publish(&["a1", "a2", "a3", "b1", "a4"]).await;
    assert_eq!(words(&outcomes), ["accepted", "unknown Timeout", "refused Conflict", "accepted", "refused Conflict"]);
    assert!(error_of(&outcomes[2]).is_retryable(), "publish both again, in order");
    assert_eq!(rig.bodies().await, ["a1", "b1"]);
}

#[tokio::test(start_paused = true)]
async fn without_atomic_batches_a_message_refused_for_good_lets_the_next_of_its_key_pass() {
    let script = Script::of(|_, body| if body == "a1" { Act::Refuse(ErrorKind::TooLarge) } else { Act::Pass });
    let rig = retrying(Rig::one_by_one().await, POLICY, &script);
    assert_eq!(words(&rig.publish(&["a1", "a2"]).await), ["refused TooLarge", "accepted"], "as the bus itself does");
}

#[tokio::test(start_paused = true)]
async fn one_key_on_two_destinations_is_two_orders() {
    let script = Script::of(|call, body| if body == "a1" && call < 3 { Act::Lose } else { Act::Pass });
    let rig = retrying(Rig::one_by_one().await, POLICY, &script);
    let elsewhere =
        |outgoing: Outgoing| Outgoing::new(orders().dead_letters().expect("short"), outgoing.message().clone());
    let batch = vec![rig.outgoing("a1"), elsewhere(rig.outgoing("a2"))];
    assert_eq!(words(&rig.bus.publish(batch).await), ["accepted", "accepted"]);
    assert_eq!(script.calls.all()[0], ["a1", "a2"]);
}

#[tokio::test(start_paused = true)]
async fn an_atomic_batch_is_published_again_as_a_whole_and_only_if_nothing_was_accepted() {
    let script = Script::of(|call, _| if call < 3 { Act::Lose } else { Act::Pass });
    let rig = retrying(Rig::new().await, POLICY, &script);
    assert_eq!(words(&rig.publish(&["a1", "a2", "-1"]).await), ["accepted"; 3]);
    assert_eq!(script.calls.all(), [["a1", "a2", "-1"], ["a1", "a2", "-1"], ["a1", "a2", "-1"]]);

    let script = Script::of(|_, body| if body == "-1" { Act::Refuse(ErrorKind::Throttled) } else { Act::Pass });
    let rig = retrying(Rig::new().await, POLICY, &script);
    assert_eq!(words(&rig.publish(&["a1", "-1"]).await), ["accepted", "refused Throttled"]);
    assert_eq!(script.calls.count(), 1, "a second write would not be the same one");
}

#[tokio::test(start_paused = true)]
async fn in_an_atomic_batch_what_stands_behind_a_bad_message_stays_refused_with_it() {
    let script = Script::of(|call, _| if call == 1 { Act::Lose } else { Act::Pass });
    let rig = retrying(Rig::new().await, POLICY, &script);
    let undeclared = Destination::new("undeclared").expect("a legal name");
    let bad = Outgoing::new(undeclared, rig.outgoing("a1").message().clone());
    let outcomes = rig.bus.publish(vec![bad, rig.outgoing("a2"), rig.outgoing("b1")]).await;
    assert_eq!(words(&outcomes), ["unknown NotFound", "unknown Conflict", "accepted"]);
    assert_eq!((rig.bodies().await, script.calls.count()), (vec!["b1".to_owned()], 2));

    let script = Script::always(Act::Pass);
    let rig = retrying(Rig::new().await, POLICY, &script);
    let undeclared = Destination::new("undeclared").expect("a legal name");
    let bad = Outgoing::new(undeclared, rig.outgoing("a1").message().clone());
    let outcomes = rig.bus.publish(vec![bad, rig.outgoing("a2")]).await;
    assert_eq!(words(&outcomes), ["refused NotFound", "refused Conflict"]);
    assert_eq!(
        (rig.bodies().await, script.calls.count()),
        (vec![], 1),
        "though it is retryable, with the one before it"
    );
}

#[tokio::test(start_paused = true)]
async fn closing_the_bus_ends_the_wait_and_the_last_answers_stand() {
    for rig in [Rig::new().await, Rig::one_by_one().await] {
        let script = Script::always(Act::Lose);
        let policy = RetryPolicy { backoff: Backoff { first: 10 * SECOND, max: 10 * SECOND }, ..POLICY };
        let rig = retrying(rig, policy, &script);
        let begun = rig.now();
        let close = async {
            rig.sleep(SECOND).await;
            rig.bus.close(SECOND).await.expect("closed");
        };
        let (outcomes, ()) = tokio::join!(rig.publish(&["a1"]), close);
        assert_eq!(words(&outcomes), ["unknown Timeout"]);
        assert_eq!((script.calls.count(), rig.now().since(begun)), (1, SECOND));
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_runs_again_in_place_within_one_attempt() {
    let rig = Rig::new().await;
    assert_eq!(rig.publish(&["a1", "a2"]).await.len(), 2);
    let runs = Log::default();
    let log = runs.clone();
    let handler = move |envelope: Envelope| {
        let body = text(envelope.message());
        let earlier = log.all().iter().filter(|(known, _)| *known == body).count();
        log.add((body.clone(), envelope.attempt()));
        async move { if body == "a1" && earlier < 2 { Err(Failure::Retry("a conflict".to_owned())) } else { Ok(()) } }
    };
    let handler = handler.with(RetryInPlace::new(3, BACKOFF, &rig.seams));
    rig.run_pipeline(handler, Policy { attempt_count_max: 1, ..Policy::default() }, 10 * SECOND).await;
    let expected = [("a1", 1), ("a1", 1), ("a1", 1), ("a2", 1)].map(|(body, attempt)| (body.to_owned(), attempt));
    assert_eq!(runs.all(), expected, "its follower waits in the lane");
    assert!(rig.bodies().await.is_empty() && rig.dead_letters().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_handler_runs_no_more_often_than_it_may_and_only_after_failures_of_its_own() {
    for (failure, run_count) in [
        (Failure::Retry("a conflict".to_owned()), 3),
        (Failure::RetryAfter(SECOND, "later".to_owned()), 1),
        (Failure::Unavailable("down".to_owned()), 1),
        (Failure::Reject("bad".to_owned()), 1),
    ] {
        let rig = Rig::new().await;
        let runs = Log::default();
        let (log, answer) = (runs.clone(), failure.clone());
        let handler = move |_: Envelope| {
            log.add(());
            let answer = answer.clone();
            async move { Err(answer) }
        };
        let handler = handler.with(RetryInPlace::new(3, BACKOFF, &rig.seams));
        let message = rig.outgoing("-1").message().clone();
        let subscription = std::sync::Arc::new(bus::Subscription::to(orders()));
        let envelope = Envelope::new(message.clone(), message.id().clone(), subscription, 1, None);
        assert_eq!(bus::pipeline::Handler::handle(&handler, envelope).await, Err(failure));
        assert_eq!(runs.count(), run_count);
    }
}
