//! What the server or its protocol takes no more of.

use std::time::Duration;

use bus::{Delivery, ErrorKind, PublishOutcome, SettleOutcome};
use lapin::options::QueueDeclareOptions;
use lapin::types::{AMQPValue, FieldTable};

use crate::scene::{ack, body, bus, declared, foreign, fresh, in_time, outgoing, publish, receiver, take};

pub(crate) async fn a_full_queue_refuses_as_retryable_and_takes_again_when_there_is_room() {
    let bus = bus("").await;
    let destination = fresh("full");
    let (connection, channel) = foreign().await;
    let mut arguments = FieldTable::default();
    arguments.insert("x-max-length".into(), AMQPValue::LongInt(1));
    arguments.insert("x-overflow".into(), AMQPValue::LongString("reject-publish".into()));
    // It goes with its last consumer.
    let temporary = QueueDeclareOptions { auto_delete: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(destination.as_str().into(), temporary, arguments).await.expect("declared");

    publish(&bus, &destination, &["1"]).await;
    let outcome = bus.publish(vec![outgoing(&destination, "2")]).await.remove(0);
    let PublishOutcome::Refused(error) = outcome else { panic!("it is full, not {outcome:?}") };
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Unavailable, true), "{error}");

    let receiver = receiver(&bus, &destination).await;
    assert_eq!(ack(&receiver, take(&receiver, 1).await).await, ["1"]);
    in_time("there is room", async {
        while !bus.publish(vec![outgoing(&destination, "3")]).await.remove(0).is_accepted() {}
    })
    .await;
    assert_eq!(ack(&receiver, take(&receiver, 1).await).await, ["3"], "what was refused is not there");
    connection.close(200, "done".into()).await.expect("it closes");
}

pub(crate) async fn what_was_received_too_often_goes_to_the_dead_letters_by_the_servers_own_hand() {
    let bus = bus("?receive_count_max=2").await;
    let destination = declared(&bus, "hot").await;
    let [receiver, dead] =
        [receiver(&bus, &destination).await, receiver(&bus, &destination.dead_letters().expect("legal")).await];
    publish(&bus, &destination, &["hot"]).await;
    for receive_count in 1..=3 {
        let [delivery] = take(&receiver, 1).await.try_into().expect("one");
        assert_eq!(delivery.receive_count(), Some(receive_count));
        assert!(matches!(receiver.settle(vec![delivery.nack(Duration::ZERO)]).await[..], [SettleOutcome::Sent]));
    }
    assert_eq!(ack(&dead, take(&dead, 1).await).await, ["hot"]);
    publish(&bus, &destination, &["next"]).await;
    assert_eq!(take(&receiver, 1).await.iter().map(body).collect::<Vec<_>>(), ["next"]);
}

/// They go in one frame, and a larger one would end the connection of everybody.
pub(crate) async fn headers_too_large_for_a_frame_are_refused_and_those_that_fit_arrive() {
    let bus = bus("").await;
    let destination = declared(&bus, "headers").await;
    let receiver = receiver(&bus, &destination).await;
    let with_header = |bytes: usize| {
        let mut outgoing = outgoing(&destination, "x");
        outgoing.message_mut().headers_mut().set("large".to_owned(), vec![b'h'; bytes]);
        outgoing
    };
    let mut outcomes = bus.publish([100, 90, 1].map(|kilobytes| with_header(kilobytes * 1_024)).into()).await;
    let PublishOutcome::Refused(error) = outcomes.remove(0) else { panic!("100 KiB do not fit") };
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::TooLarge, false), "{error}");
    assert!(error.to_string().contains("part=headers"), "{error}");
    assert!(outcomes.iter().all(PublishOutcome::is_accepted), "{outcomes:?}");
    let came = take(&receiver, 2).await;
    let bytes = |delivery: &Delivery| delivery.message().headers().get("large").map(bytes::Bytes::len);
    let mut lengths: Vec<_> = came.iter().map(bytes).collect();
    lengths.sort();
    assert_eq!(lengths, [Some(1_024), Some(90 * 1_024)]);
    ack(&receiver, came).await;
}
