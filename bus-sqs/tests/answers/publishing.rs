//! Answers to `SendMessageBatch`.

use bus::{Bus, BusExt, Destination, ErrorKind, Message, MessageId, MessageKey, Outgoing, PublishOutcome};
use serde_json::{Value, json};

use crate::server::{Answer, Asked, Server, batch};
use crate::{bus, orders, outgoing};

fn sends(answer: impl Fn(&[Value], usize) -> Answer + Send + Sync + 'static) -> impl Fn(&Asked, usize) -> Answer {
    move |asked, before| match asked.action.as_str() {
        "SendMessageBatch" => answer(&asked.entries(), before),
        _ => Answer::Usual,
    }
}

fn bodies(asked: &Asked) -> Vec<String> {
    asked.entries().iter().map(|entry| entry["MessageBody"].as_str().unwrap_or_default().to_owned()).collect()
}

#[tokio::test]
async fn only_entries_that_may_be_sent_again_are() {
    let server = Server::start(sends(|entries, before| match (before, entries) {
        (0, [taken, bad, failed, throttled]) => Answer::Done(batch(
            std::slice::from_ref(taken),
            &[
                (bad, "InvalidMessageContents", true),
                (failed, "InternalFailure", false),
                (throttled, "RequestThrottled", true),
            ],
        )),
        _ => Answer::Usual,
    }))
    .await;
    let bus = bus(&server, "").await;
    let outcomes = bus.publish(["taken", "bad", "failed", "throttled"].map(outgoing).into()).await;
    let [
        PublishOutcome::Accepted(_),
        PublishOutcome::Refused(error),
        PublishOutcome::Accepted(_),
        PublishOutcome::Accepted(_),
    ] = &outcomes[..]
    else {
        panic!("{outcomes:?}")
    };
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Invalid, false), "{error}");
    let calls: Vec<_> = server.asked("SendMessageBatch").iter().map(bodies).collect();
    assert_eq!(calls[1..], [["failed", "throttled"]]);
}

#[tokio::test]
async fn an_entry_that_goes_on_failing_is_refused_after_three_calls_and_may_be_published_again() {
    let server =
        Server::start(sends(|entries, _| Answer::Done(batch(&[], &[(&entries[0], "InternalFailure", false)])))).await;
    let outcome = bus(&server, "").await.publish_one(outgoing("m")).await;
    assert!(matches!(&outcome, PublishOutcome::Refused(error) if error.is_retryable()), "{outcome:?}");
    assert_eq!(server.asked("SendMessageBatch").len(), 3);
}

#[tokio::test]
async fn an_entry_the_server_does_not_mention_is_unknown() {
    let server = Server::start(sends(|entries, _| Answer::Done(batch(&entries[1..], &[])))).await;
    let outcomes = bus(&server, "").await.publish(["silent", "taken"].map(outgoing).into()).await;
    assert!(matches!(&outcomes[..], [PublishOutcome::Unknown(_), PublishOutcome::Accepted(_)]), "{outcomes:?}");
}

/// Entries of several callers share a call.
#[tokio::test]
async fn a_call_refused_for_one_message_costs_no_other() {
    for code in ["InvalidParameterValue", "AWS.SimpleQueueService.BatchRequestTooLong"] {
        let server =
            Server::start(sends(move |entries, _| match entries.iter().any(|entry| entry["MessageBody"] == "bad") {
                true => Answer::Fault(400, code, "one of them is bad"),
                false => Answer::Usual,
            }))
            .await;
        let outcomes = bus(&server, "").await.publish(["one", "bad", "two"].map(outgoing).into()).await;
        let accepted: Vec<bool> = outcomes.iter().map(PublishOutcome::is_accepted).collect();
        assert_eq!(accepted, [true, false, true], "{code}: {outcomes:?}");
        assert!(matches!(&outcomes[1], PublishOutcome::Refused(error) if !error.is_retryable()), "{outcomes:?}");
    }
}

#[tokio::test]
async fn a_failed_call_is_refused_where_nothing_can_have_happened_and_unknown_otherwise() {
    use ErrorKind::{NotFound, Throttled, Unauthorized, Unavailable};
    type Row = (fn() -> Answer, bool, ErrorKind, bool, &'static str);
    let rows: [Row; 9] = [
        (|| Answer::Fault(400, "ExpiredToken", "x"), true, Unauthorized, true, "renew the session"),
        (|| Answer::Fault(403, "AccessDenied", "x"), true, Unauthorized, false, "policy of the queue"),
        (|| Answer::Fault(403, "InvalidClientTokenId", "x"), true, Unauthorized, false, "AWS_ACCESS_KEY_ID"),
        (|| Answer::Fault(400, "RequestThrottled", "x"), true, Throttled, true, "slowed down"),
        (|| Answer::Fault(400, "AWS.SimpleQueueService.NonExistentQueue", "x"), true, NotFound, false, "declare it"),
        (|| Answer::Fault(500, "InternalFailure", "x"), false, Unavailable, true, "tried again"),
        (|| Answer::Page(503), false, Unavailable, true, "tried again"),
        (|| Answer::Page(429), true, Throttled, true, "slowed down"),
        (|| Answer::Page(200), false, ErrorKind::Unexpected, false, "could not be read"),
    ];
    for (answer, is_refused, kind, is_retryable, hint) in rows {
        let server = Server::start(sends(move |_, _| answer())).await;
        let outcome = bus(&server, "").await.publish_one(outgoing("m")).await;
        let (refused, error) = match &outcome {
            PublishOutcome::Refused(error) => (true, error),
            PublishOutcome::Unknown(error) => (false, error),
            PublishOutcome::Accepted(_) => panic!("{hint}: {outcome:?}"),
        };
        assert_eq!((refused, error.kind(), error.is_retryable()), (is_refused, kind, is_retryable), "{hint}: {error}");
        let text = error.to_string();
        assert!(text.contains(hint), "{text}");
        assert!(text.matches("publish:").count() == 1, "{text}");
        assert!(text.len() < 500 && !text.contains("Headers"), "a sentence, no dump: {text}");
    }
}

#[tokio::test]
async fn a_missing_queue_is_asked_for_once_a_batch() {
    let server = Server::start(|asked, _| match asked.action.as_str() {
        "GetQueueUrl" => Answer::Fault(400, "AWS.SimpleQueueService.NonExistentQueue", "none"),
        _ => Answer::Usual,
    })
    .await;
    let outcomes = bus(&server, "").await.publish(vec![outgoing("a"), outgoing("b"), outgoing("c")]).await;
    assert!(outcomes.iter().all(|outcome| matches!(outcome, PublishOutcome::Refused(_))), "{outcomes:?}");
    assert_eq!(server.asked("GetQueueUrl").len(), 1);
}

#[tokio::test]
async fn a_queues_own_limit_on_messages_is_kept() {
    let server = Server::start(|asked, _| match asked.action.as_str() {
        "GetQueueAttributes" => Answer::Done(json!({"Attributes": {"MaximumMessageSize": "1024"}})),
        _ => Answer::Usual,
    })
    .await;
    let large = Message::new(MessageId::parse("large").expect("legal"), vec![b'x'; 1_020]);
    let outcomes = bus(&server, "").await.publish(vec![Outgoing::new(orders(), large), outgoing("small")]).await;
    assert!(
        matches!(&outcomes[0], PublishOutcome::Refused(error) if error.kind() == ErrorKind::TooLarge),
        "{outcomes:?}"
    );
    assert!(outcomes[1].is_accepted(), "{outcomes:?}");
}

#[tokio::test]
async fn on_fifo_queues_nothing_of_a_key_goes_behind_what_failed() {
    let server = Server::start(sends(|entries, _| {
        let (bad, good): (Vec<_>, Vec<_>) = entries.iter().cloned().partition(|entry| entry["MessageBody"] == "first");
        let failed: Vec<_> = bad.iter().map(|entry| (entry, "InvalidMessageContents", true)).collect();
        Answer::Done(batch(&good, &failed))
    }))
    .await;
    let keyed = |text: &str, key: &str| {
        let id = MessageId::parse(text).expect("legal");
        let message = Message::new(id, text.as_bytes().to_vec()).with_key(MessageKey::new(key).expect("legal"));
        Outgoing::new(Destination::new("orders").expect("legal"), message)
    };
    let batch = vec![keyed("first", "k"), keyed("second", "k"), keyed("other", "l"), keyed("another", "l")];
    let outcomes = bus(&server, "&fifo=on").await.publish(batch).await;
    let accepted: Vec<bool> = outcomes.iter().map(PublishOutcome::is_accepted).collect();
    assert_eq!(accepted, [false, false, true, true], "{outcomes:?}");
    assert!(matches!(&outcomes[1], PublishOutcome::Refused(error) if error.is_retryable()), "{outcomes:?}");
    let calls: Vec<_> = server.asked("SendMessageBatch").iter().map(bodies).collect();
    assert_eq!(calls, [vec!["first", "other"], vec!["another"]]);
    for entry in server.asked("SendMessageBatch").iter().flat_map(Asked::entries) {
        assert_eq!(entry["MessageDeduplicationId"], entry["MessageBody"], "the message id, nothing of the process");
    }
}
