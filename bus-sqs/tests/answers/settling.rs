//! Answers to `DeleteMessageBatch` and `ChangeMessageVisibilityBatch`.

use std::sync::Arc;
use std::task::Context;
use std::time::Duration;

use bus::{Delivery, ErrorKind, ExtendOutcome, Receiver, SettleOutcome, SubscribeOptions};
use serde_json::Value;

use crate::server::{Answer, Asked, Server, batch, messages, pause};
use crate::{bus, receiver};

/// Hands these out once, and answers `action` as told.
fn holding(
    bodies: &'static [&'static str],
    action: &'static str,
    answer: impl Fn(&[Value], usize) -> Answer + Send + Sync + 'static,
) -> impl Fn(&Asked, usize) -> Answer {
    move |asked, before| match asked.action.as_str() {
        "ReceiveMessage" if before == 0 => Answer::Done(messages(bodies)),
        known if known == action => answer(&asked.entries(), before),
        _ => Answer::Usual,
    }
}

async fn received(server: &Server, options: SubscribeOptions) -> (Arc<dyn Receiver>, Vec<Delivery>) {
    let receiver = receiver(bus(server, "").await.as_ref(), options).await;
    let mut deliveries = Vec::new();
    receiver.receive(10, &mut deliveries).await.expect("received");
    (receiver, deliveries)
}

#[tokio::test]
async fn each_delete_has_its_own_answer_and_only_failed_ones_are_made_again() {
    let script = holding(&["done", "again", "expired", "silent", "denied"], "DeleteMessageBatch", |entries, before| {
        let [done, again, expired, _silent, denied] = entries else { return Answer::Usual };
        assert_eq!(before, 0, "five entries are sent once");
        let expired_text = (expired, "ReceiptHandleIsInvalid", true);
        Answer::Done(batch(
            std::slice::from_ref(done),
            &[(again, "InternalFailure", false), expired_text, (denied, "AccessDenied", true)],
        ))
    });
    let server = Server::start(script).await;
    let (receiver, deliveries) = received(&server, SubscribeOptions::default()).await;
    let outcomes = receiver.settle(deliveries.into_iter().map(Delivery::ack).collect()).await;
    use SettleOutcome::{Failed, LeaseLost, Settled};
    let [Settled, Settled, LeaseLost, Failed(silent), Failed(denied)] = &outcomes[..] else { panic!("{outcomes:?}") };
    assert_eq!((silent.kind(), denied.kind()), (ErrorKind::Unexpected, ErrorKind::Unauthorized));
    let calls: Vec<usize> = server.asked("DeleteMessageBatch").iter().map(|asked| asked.entries().len()).collect();
    assert_eq!(calls, [5, 1]);
}

#[tokio::test]
async fn a_delete_that_goes_on_failing_is_made_three_times() {
    let server = Server::start(holding(&["m"], "DeleteMessageBatch", |_, _| Answer::Page(503))).await;
    let (receiver, deliveries) = received(&server, SubscribeOptions::default()).await;
    let outcomes = receiver.settle(deliveries.into_iter().map(Delivery::ack).collect()).await;
    assert!(matches!(&outcomes[..], [SettleOutcome::Failed(error)] if error.is_retryable()), "{outcomes:?}");
    assert_eq!(server.asked("DeleteMessageBatch").len(), 3);
}

/// On a standard queue it "succeeds" and does nothing.
#[tokio::test]
async fn a_delete_answered_after_the_lease_is_a_lost_lease() {
    let script = holding(&["m"], "DeleteMessageBatch", |_, _| {
        Answer::Late(Duration::from_millis(1_200), Box::new(Answer::Usual))
    });
    let server = Server::start(script).await;
    let lease = SubscribeOptions { lease: Some(Duration::from_secs(1)), ..SubscribeOptions::default() };
    let (receiver, deliveries) = received(&server, lease).await;
    let outcomes = receiver.settle(deliveries.into_iter().map(Delivery::ack).collect()).await;
    assert!(matches!(&outcomes[..], [SettleOutcome::LeaseLost]), "{outcomes:?}");
}

#[tokio::test]
async fn a_settle_that_is_dropped_is_made_nevertheless_and_leaves_room_for_more() {
    let script = |asked: &Asked, before: usize| match asked.action.as_str() {
        "ReceiveMessage" if before < 2 => Answer::Done(messages(&["m"])),
        "DeleteMessageBatch" => Answer::Late(Duration::from_millis(100), Box::new(Answer::Usual)),
        _ => Answer::Usual,
    };
    let server = Server::start(script).await;
    let one = SubscribeOptions { prefetch_count_max: 1, ..SubscribeOptions::default() };
    let (receiver, deliveries) = received(&server, one).await;
    let mut more = Vec::new();
    let receiving = receiver.receive(1, &mut more);
    {
        let mut receiving = receiving;
        let mut context = Context::from_waker(std::task::Waker::noop());
        assert!(receiving.as_mut().poll(&mut context).is_pending(), "one is in hand, and one is the prefetch");
        let mut settling = receiver.settle(deliveries.into_iter().map(Delivery::ack).collect());
        assert!(settling.as_mut().poll(&mut context).is_pending());
        drop(settling);
        receiving.await.expect("received");
    }
    assert_eq!(more.len(), 1);
    server.until("DeleteMessageBatch", 1).await;
    drop(more);
}

#[tokio::test]
async fn an_extension_that_fails_leaves_the_old_lease_and_one_of_a_lost_delivery_says_so() {
    let script = holding(&["kept", "gone", "failed"], "ChangeMessageVisibilityBatch", |entries, before| {
        let ([kept, gone, failed], 0) = (entries, before) else { return Answer::Page(503) };
        Answer::Done(batch(
            std::slice::from_ref(kept),
            &[(gone, "MessageNotInflight", true), (failed, "InternalFailure", false)],
        ))
    });
    let server = Server::start(script).await;
    let (receiver, deliveries) = received(&server, SubscribeOptions::default()).await;
    let tokens: Vec<_> = deliveries.iter().map(Delivery::token).collect();
    let outcomes = receiver.extend(&tokens, Duration::from_secs(60)).await;
    let [ExtendOutcome::Until(until), ExtendOutcome::LeaseLost, ExtendOutcome::Failed(_)] = &outcomes[..] else {
        panic!("{outcomes:?}")
    };
    assert!(Some(*until) > deliveries[0].lease().deadline);
    assert_eq!(server.asked("ChangeMessageVisibilityBatch").len(), 3);
}

/// The head first: whoever looks in between must not find a follower without it.
#[tokio::test]
async fn on_fifo_queues_what_is_buffered_behind_a_message_goes_back_behind_it() {
    for how in ["nack", "drop", "release"] {
        let server = Server::start(|asked, before| match (asked.action.as_str(), before) {
            ("ReceiveMessage", 0) => {
                let mut found = messages(&["a1", "b1", "a2", "a3"]);
                for message in found["Messages"].as_array_mut().into_iter().flatten() {
                    let group = message["Body"].as_str().map(|body| body[..1].to_owned());
                    message["Attributes"]["MessageGroupId"] = group.into();
                }
                Answer::Done(found)
            }
            _ => Answer::Usual,
        })
        .await;
        let bus = bus(&server, "&fifo=on").await;
        let receiver = receiver(bus.as_ref(), SubscribeOptions::default()).await;
        let mut deliveries = Vec::new();
        receiver.receive(1, &mut deliveries).await.expect("received");
        let head = deliveries.remove(0);
        match how {
            "nack" => drop(receiver.settle(vec![head.nack(Duration::from_secs(7))]).await),
            "drop" => drop(head),
            _ => receiver.release(vec![head.split().1]).await,
        }
        receiver.receive(10, &mut deliveries).await.expect("received");
        let left: Vec<_> = deliveries.iter().map(|delivery| delivery.message().body().clone()).collect();
        assert_eq!(left, ["b1"], "{how}: another key stays");
        let returned = || -> Vec<(Value, Value)> {
            let entries =
                server.asked("ChangeMessageVisibilityBatch").iter().flat_map(Asked::entries).collect::<Vec<_>>();
            entries
                .into_iter()
                .map(|entry| (entry["ReceiptHandle"].clone(), entry["VisibilityTimeout"].clone()))
                .collect()
        };
        while returned().len() < 3 {
            pause(Duration::from_millis(5)).await;
        }
        let head_seconds = if how == "nack" { 7 } else { 0 };
        let expected =
            [("a1", head_seconds), ("a2", 0), ("a3", 0)].map(|(receipt, seconds)| (receipt.into(), seconds.into()));
        assert_eq!(returned(), expected, "{how}");
    }
}

/// SQS keeps a group hidden while any of it is in flight; not every server does.
#[tokio::test]
async fn what_is_released_goes_back_in_the_order_it_came_in() {
    let server = Server::start(holding(&["1", "2", "3"], "ChangeMessageVisibilityBatch", |_, _| Answer::Usual)).await;
    let (receiver, deliveries) = received(&server, SubscribeOptions::default()).await;
    let receipts = |asked: &Asked| -> Vec<String> {
        asked.entries().iter().map(|entry| entry["ReceiptHandle"].as_str().unwrap_or_default().to_owned()).collect()
    };
    receiver.release(deliveries.into_iter().rev().map(|delivery| delivery.split().1).collect()).await;
    let calls = server.asked("ChangeMessageVisibilityBatch");
    let [call] = &calls[..] else { panic!("one call: {calls:?}") };
    let given_back = receipts(call);
    assert!(given_back.is_sorted() && given_back.len() == 3, "{given_back:?}");
}
