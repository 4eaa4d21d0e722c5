//! Answers to `ReceiveMessage`, and what a receiver does about its queue.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;

use bus::clock::SystemClock;
use bus::{Bus, Clock, Declaration, ErrorKind, Moment, ReceiverExt, Seams, SettleOutcome, SubscribeOptions};
use serde_json::json;

use crate::server::{Answer, Asked, Server, messages, pause};
use crate::{bus, bus_with, orders, receiver};

#[tokio::test]
async fn the_queues_own_visibility_timeout_is_the_lease_and_is_said_with_every_poll() {
    let server = Server::start(|asked, before| match (asked.action.as_str(), before) {
        ("GetQueueAttributes", _) => Answer::Done(json!({"Attributes": {"VisibilityTimeout": "120"}})),
        ("ReceiveMessage", 0) => Answer::Done(messages(&["m"])),
        _ => Answer::Usual,
    })
    .await;
    let receiver = receiver(bus(&server, "").await.as_ref(), SubscribeOptions::default()).await;
    let mut deliveries = Vec::new();
    receiver.receive(1, &mut deliveries).await.expect("received");
    assert_eq!(server.asked("ReceiveMessage")[0].body["VisibilityTimeout"], 120);
    let settled = receiver.settle_one(deliveries.remove(0).ack()).await;
    assert!(matches!(settled, SettleOutcome::Settled), "{settled:?}");
}

/// A poll of a second was answered after two: the message was on its way, and its lease was running.
#[tokio::test]
async fn a_lease_does_not_begin_later_than_its_poll_can_have_handed_it_out() {
    let server = Server::start(|asked, before| match (asked.action.as_str(), before) {
        ("ReceiveMessage", 0) => Answer::Late(Duration::from_secs(2), Box::new(Answer::Done(messages(&["m"])))),
        _ => Answer::Usual,
    })
    .await;
    let clock = Arc::new(SystemClock::new());
    let seams = Seams { clock: clock.clone(), ..Seams::system() };
    let bus = bus_with(&server, "", seams).await;
    let receiver = receiver(bus.as_ref(), SubscribeOptions::default()).await;
    let mut deliveries = Vec::new();
    receiver.receive(1, &mut deliveries).await.expect("received");
    let left = deliveries[0].lease().deadline.expect("a lease").since(clock.now());
    assert!(left <= Duration::from_secs(28), "{left:?} of 30 s are left");
}

#[tokio::test]
async fn what_a_poll_brings_after_its_receiver_has_gone_is_given_back_and_no_poll_follows() {
    let server = Server::start(|asked, before| match (asked.action.as_str(), before) {
        ("ReceiveMessage", 0) => Answer::Late(Duration::from_millis(300), Box::new(Answer::Done(messages(&["m"])))),
        _ => Answer::Usual,
    })
    .await;
    let bus = bus(&server, "").await;
    let receiver = receiver(bus.as_ref(), SubscribeOptions::default()).await;
    let mut deliveries = Vec::new();
    {
        let mut receiving = receiver.receive(1, &mut deliveries);
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(receiving.as_mut().poll(&mut context).is_pending());
        server.until("ReceiveMessage", 1).await;
    }
    drop(receiver);
    server.until("ChangeMessageVisibilityBatch", 1).await;
    let returned = &server.asked("ChangeMessageVisibilityBatch")[0].entries()[0];
    assert_eq!((&returned["ReceiptHandle"], &returned["VisibilityTimeout"]), (&json!("m"), &json!(0)));
    bus.close(Duration::from_secs(5)).await.expect("nothing is under way any more");
    assert_eq!(server.asked("ReceiveMessage").len(), 1);
}

#[tokio::test]
async fn an_unreadable_message_goes_to_the_dead_letters_and_then_leaves_the_queue() {
    let server = Server::start(|asked, before| match (asked.action.as_str(), before) {
        ("ReceiveMessage", 0) => {
            let mut found = messages(&["raw", "fine"]);
            let odd = json!({"x-body-encoding": {"DataType": "String", "StringValue": "rot13"}});
            found["Messages"][0]["MessageAttributes"] = odd;
            Answer::Done(found)
        }
        _ => Answer::Usual,
    })
    .await;
    let bus = bus(&server, "").await;
    let receiver = receiver(bus.as_ref(), SubscribeOptions::default()).await;
    let mut deliveries = Vec::new();
    receiver.receive(10, &mut deliveries).await.expect("received");
    assert_eq!(deliveries.len(), 1, "it stands in nobody's way");
    server.until("DeleteMessageBatch", 1).await;
    let sent = server.asked("SendMessageBatch").remove(0);
    assert!(sent.body["QueueUrl"].as_str().is_some_and(|url| url.ends_with("orders-dlq")), "{sent:?}");
    let entry = &sent.entries()[0];
    assert_eq!(entry["MessageBody"], "raw", "the bytes are kept as they are");
    let reason = &entry["MessageAttributes"]["x-dead-letter-reason"]["StringValue"];
    assert!(reason.as_str().is_some_and(|reason| reason.contains("rot13")), "{entry}");
    assert_eq!(server.asked("DeleteMessageBatch")[0].entries()[0]["ReceiptHandle"], "raw");
}

#[tokio::test]
async fn a_poll_refused_for_its_credentials_says_so_and_the_next_is_answered() {
    let server = Server::start(|asked, before| match (asked.action.as_str(), before) {
        ("ReceiveMessage", 0) => Answer::Fault(400, "ExpiredToken", "The security token is expired"),
        ("ReceiveMessage", 1) => Answer::Done(messages(&["m"])),
        _ => Answer::Usual,
    })
    .await;
    let bus = bus(&server, "").await;
    let receiver = receiver(bus.as_ref(), SubscribeOptions::default()).await;
    let mut deliveries = Vec::new();
    let error = receiver.receive(1, &mut deliveries).await.expect_err("expired");
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Unauthorized, true), "{error}");
    assert!(matches!(bus.state(), bus::BusState::Down(_)));
    receiver.receive(1, &mut deliveries).await.expect("renewed");
    assert_eq!(bus.state(), bus::BusState::Up);
}

fn forgetting(asked: &Asked, _: usize) -> Answer {
    match asked.action.as_str() {
        "ReceiveMessage" => Answer::Fault(400, "AWS.SimpleQueueService.NonExistentQueue", "none"),
        _ => Answer::Usual,
    }
}

/// A deleted queue may be found by its name for a minute while nothing can be received from it.
#[tokio::test]
async fn a_queue_that_is_found_and_cannot_be_polled_is_polled_with_pauses() {
    let server = Server::start(forgetting).await;
    let bus = bus(&server, "").await;
    bus.declare(&[Declaration::of(orders())]).await.expect("declared");
    let receiver = receiver(bus.as_ref(), SubscribeOptions::default()).await;
    let mut deliveries = Vec::new();
    {
        let receiving = receiver.receive(1, &mut deliveries);
        let second = pause(Duration::from_secs(1));
        tokio::select! {
            biased;
            received = receiving => panic!("{received:?}"),
            () = second => {}
        }
    }
    let count = server.asked("ReceiveMessage").len();
    assert!((2..=6).contains(&count), "{count} polls; without pauses there are hundreds");
}

#[tokio::test]
async fn a_declaration_looks_at_the_server_each_time() {
    let server = Server::start(|asked, before| match asked.action.as_str() {
        // Neither queue nor dead letters are there at the second look.
        "GetQueueUrl" if before == 2 || before == 3 => {
            Answer::Fault(400, "AWS.SimpleQueueService.NonExistentQueue", "none")
        }
        _ => Answer::Usual,
    })
    .await;
    let bus = bus(&server, "").await;
    let declaration = [Declaration::of(orders())];
    bus.declare(&declaration).await.expect("declared");
    assert_eq!(server.asked("CreateQueue").len(), 0);
    bus.declare(&declaration).await.expect("declared again");
    let made: Vec<_> = server.asked("CreateQueue").iter().map(|asked| asked.body["QueueName"].clone()).collect();
    assert_eq!(made, ["orders-dlq", "orders"]);
}

/// As large as SQS takes: there is no room for what is said about it.
#[tokio::test]
async fn the_largest_unreadable_message_is_kept_without_its_provenance() {
    let server = Server::start(|asked, before| match (asked.action.as_str(), before) {
        ("ReceiveMessage", 0) => {
            let mut found = messages(&["raw"]);
            found["Messages"][0]["Body"] = json!("x".repeat(1024 * 1024 - 30));
            found["Messages"][0]["MessageAttributes"] =
                json!({"x-body-encoding": {"DataType": "String", "StringValue": "rot13"}});
            Answer::Done(found)
        }
        _ => Answer::Usual,
    })
    .await;
    let bus = bus(&server, "").await;
    let receiver = receiver(bus.as_ref(), SubscribeOptions::default()).await;
    let mut deliveries = Vec::new();
    let mut receiving = receiver.receive(1, &mut deliveries);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(receiving.as_mut().poll(&mut context).is_pending());
    server.until("DeleteMessageBatch", 1).await;
    let entry = &server.asked("SendMessageBatch")[0].entries()[0];
    assert_eq!(entry["MessageBody"].as_str().map(str::len), Some(1024 * 1024 - 30));
    assert!(
        entry["MessageAttributes"].as_object().is_none_or(serde_json::Map::is_empty),
        "{}",
        entry["MessageAttributes"]
    );
}

#[tokio::test]
async fn a_queue_that_is_denied_does_not_bring_the_bus_down() {
    let server = Server::start(|asked, _| match asked.action.as_str() {
        "ReceiveMessage" => Answer::Fault(403, "AccessDenied", "not this one"),
        _ => Answer::Usual,
    })
    .await;
    let bus = bus(&server, "").await;
    let receiver = receiver(bus.as_ref(), SubscribeOptions::default()).await;
    let error = receiver.receive(1, &mut Vec::new()).await.expect_err("denied");
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Unauthorized, false), "{error}");
    assert_eq!(bus.state(), bus::BusState::Up);
}

/// Panics once when asked for the time, after it was told to.
#[derive(Debug)]
struct Stumbling {
    clock: SystemClock,
    stumbles: Arc<AtomicBool>,
}

#[async_trait]
impl Clock for Stumbling {
    fn wall(&self) -> jiff::Timestamp {
        self.clock.wall()
    }

    fn now(&self) -> Moment {
        assert!(!self.stumbles.swap(false, Ordering::SeqCst), "told to stumble");
        self.clock.now()
    }

    async fn sleep_until(&self, deadline: Moment) {
        self.clock.sleep_until(deadline).await;
    }
}

#[tokio::test]
async fn a_poll_that_panics_leaves_its_place_to_another() {
    let stumbles = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&stumbles);
    let server = Server::start(move |asked, before| match (asked.action.as_str(), before) {
        ("ReceiveMessage", 0) => {
            told.store(true, Ordering::SeqCst);
            Answer::Done(messages(&["lost"]))
        }
        ("ReceiveMessage", 1) => Answer::Done(messages(&["m"])),
        _ => Answer::Usual,
    })
    .await;
    let seams = Seams { clock: Arc::new(Stumbling { clock: SystemClock::new(), stumbles }), ..Seams::system() };
    let bus = bus_with(&server, "&polls=1", seams).await;
    let receiver = receiver(bus.as_ref(), SubscribeOptions::default()).await;
    let mut deliveries = Vec::new();
    receiver.receive(1, &mut deliveries).await.expect("received");
    assert_eq!(deliveries[0].message().body(), "m");
    bus.close(Duration::from_secs(5)).await.expect("nothing is counted that is not there");
}

#[tokio::test]
async fn limits_of_the_queue_are_told_as_too_much_at_once() {
    let server = Server::start(|asked, _| match asked.action.as_str() {
        "ReceiveMessage" => Answer::Fault(400, "OverLimit", "120000 messages are in flight"),
        "PurgeQueue" => Answer::Fault(403, "AWS.SimpleQueueService.PurgeQueueInProgress", "once a minute"),
        _ => Answer::Usual,
    })
    .await;
    let bus = bus(&server, "").await;
    let receiver = receiver(bus.as_ref(), SubscribeOptions::default()).await;
    let error = receiver.receive(1, &mut Vec::new()).await.expect_err("over the limit");
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Throttled, true), "{error}");
    let error = bus.purge(&bus::Subscription::to(orders())).await.expect_err("once a minute");
    assert_eq!(error.kind(), ErrorKind::Throttled);
    assert!(error.to_string().contains("once a minute; try again later"), "{error}");
}
