//! From values to the bus and back.

use std::sync::Arc;

use bus::pipeline::Envelope;
use bus::typed::{Codec, Decode, Encode};
use bus::{Destination, Error, ErrorKind, PublishOutcome, Result};
use bytes::Bytes;
use serde::Serialize;

use crate::desk::{Desk, key, order};

#[tokio::test(start_paused = true)]
async fn a_published_value_is_handled_as_the_same_value_with_its_key_and_content_type() {
    let desk = Desk::new().await;
    desk.front.publish_json(&desk.orders, key("ORD-1"), &order("1")).await.expect("accepted");
    desk.front.publish_json(&desk.orders, None, &order("2")).await.expect("accepted");
    desk.run(desk.front.subscribe_json(desk.subscription(), desk.notes())).await;
    let seen = desk.seen.lock().expect("nobody panics with it");
    let [(first, keyed), (second, keyless)] = &seen[..] else { panic!("{seen:?}") };
    assert_eq!((first, second), (&order("1"), &order("2")));
    assert_eq!(keyed.message().key(), Some(&key("ORD-1")));
    assert_eq!(keyed.message().content_type(), Some("application/json"));
    assert!(!keyed.message().is_foreign());
    assert_eq!(keyless.message().key(), None);
    assert_ne!(keyed.message_id(), keyless.message_id());
}

/// Refuses every second number, to see where refusals land.
#[derive(Serialize)]
struct Even(#[serde(serialize_with = "even")] u32);

fn even<S: serde::Serializer>(number: &u32, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    match number % 2 {
        0 => serializer.serialize_u32(*number),
        _ => Err(serde::ser::Error::custom("odd")),
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_answered_per_value_and_what_has_no_bytes_is_refused_alone() {
    let desk = Desk::new().await;
    let values = (1..=5).map(|number| (None, Even(number)));
    let outcomes = desk.front.publish_all_json(&desk.orders, values).await;
    let is_accepted: Vec<bool> = outcomes.iter().map(PublishOutcome::is_accepted).collect();
    assert_eq!(is_accepted, [false, true, false, true, false]);
    let kinds = outcomes.into_iter().filter_map(|outcome| outcome.into_result().err()).map(|error| error.kind());
    assert_eq!(kinds.collect::<Vec<_>>(), [ErrorKind::Invalid; 3]);
    let waiting = desk.waiting(desk.orders.clone()).await;
    let bodies: Vec<&[u8]> = waiting.iter().map(|delivery| &delivery.message().body()[..]).collect();
    assert_eq!(bodies, [b"2", b"4"]);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_an_error_of_its_own_kind_that_names_the_message() {
    let desk = Desk::new().await;
    let nowhere = Destination::new("nowhere").expect("a legal name");
    let error = desk.front.publish_json(&nowhere, None, &order("1")).await.expect_err("never declared");
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("message_id="), "{error}");
}

#[test]
fn an_answer_that_never_came_is_a_timeout_whatever_kept_it() {
    for kind in [ErrorKind::Unavailable, ErrorKind::Unexpected, ErrorKind::Timeout] {
        let error = PublishOutcome::Unknown(Error::new(kind, "publish", "cut")).into_result().expect_err("unknown");
        assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Timeout, true), "{kind:?}");
        assert!(error.to_string().contains("cut"), "{error}");
    }
}

/// Text as it is.
#[derive(Clone, Copy)]
struct Plain;

impl Codec for Plain {
    fn content_type(&self) -> &'static str {
        "text/plain"
    }

    fn understands(&self, content_type: &str) -> bool {
        content_type == "text/plain"
    }
}

impl Encode<str> for Plain {
    fn encode(&self, value: &str) -> Result<Bytes> {
        Ok(Bytes::copy_from_slice(value.as_bytes()))
    }
}

impl Decode<String> for Plain {
    fn decode(&self, body: &[u8]) -> Result<String> {
        let text = String::from_utf8(body.to_vec());
        text.map_err(|fault| Error::new(ErrorKind::Invalid, "decode text", fault.to_string()))
    }
}

#[tokio::test(start_paused = true)]
async fn any_codec_takes_the_place_of_json() {
    let desk = Desk::new().await;
    desk.front.publish(&Plain, &desk.orders, None, "two").await.expect("accepted");
    let seen = Arc::clone(&desk.seen);
    let handler = move |text: String, envelope: Envelope| {
        seen.lock().expect("nobody panics with it").push((order(&text), envelope));
        async { Ok(()) }
    };
    desk.run(desk.front.subscribe(Plain, desk.subscription(), handler)).await;
    assert_eq!(desk.seen_numbers(), ["two"]);
    assert_eq!(desk.seen.lock().expect("nobody panics with it")[0].1.message().content_type(), Some("text/plain"));
}
