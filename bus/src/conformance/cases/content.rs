//! Publishing: what arrives is what was sent.

use bytes::Bytes;

use crate::conformance::World;
use crate::{Destination, Headers, Message, MessageKey, Outgoing};

super::cases! { "publish":
    a_message_arrives_with_its_id_key_content_type_and_headers,
    bodies_of_any_bytes_arrive_unchanged,
    odd_header_names_and_values_arrive_unchanged,
    any_legal_key_arrives_unchanged,
    what_a_message_was_not_given_it_does_not_arrive_with,
}

async fn a_message_arrives_with_its_id_key_content_type_and_headers(world: &World) {
    let destination = world.declared("content").await;
    let headers: Headers = [("tenant", "a"), ("trace", "1-2-3")].into_iter().collect();
    let sent = world.keyed("ORD-1", "{\"quantity\":2}").with_headers(headers);
    let sent = sent.with_content_type("application/json; charset=utf-8");
    let arrived = sent_to(world, &destination, sent.clone()).await;
    assert_eq!(arrived.id(), sent.id());
    assert_eq!(arrived.key(), sent.key());
    assert_eq!(arrived.content_type(), sent.content_type());
    assert_eq!(arrived.body(), sent.body());
    assert_headers(&sent, &arrived);
    assert!(!arrived.is_foreign(), "it came from this crate");
}

async fn bodies_of_any_bytes_arrive_unchanged(world: &World) {
    let destination = world.declared("bodies").await;
    let every_byte: Vec<u8> = (0..=u8::MAX).collect();
    for body in [&b""[..], b"\0", b" \r\n ", "주문".as_bytes(), &[0xff, 0xfe], b"\x01\x1f\x7f<&\">", &every_byte] {
        let sent = Message::new(world.seams.message_id("body"), body.to_vec());
        let arrived = sent_to(world, &destination, sent).await;
        assert_eq!(arrived.body(), &Bytes::copy_from_slice(body));
    }
}

/// More headers than SQS has attributes for, and names and values it would not take as they are.
async fn odd_header_names_and_values_arrive_unchanged(world: &World) {
    let destination = world.declared("headers").await;
    let pairs: [(&str, &[u8]); 13] = [
        ("", b"no name"),
        ("empty", b""),
        ("zero", b"\0"),
        ("bytes", &[0xff, 0xfe, 0x00]),
        ("control", b"\x01\r\n\t"),
        ("Case", b"upper"),
        ("case", b"lower"),
        ("주문 id", "값".as_bytes()),
        ("white space ", b" kept "),
        ("a.b-c_d/e:f", b"{\"json\":[1]}"),
        ("AWS.reserved", b"1"),
        ("x-death", b"2"),
        ("number", b"42"),
    ];
    let headers: Headers = pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_vec())).collect();
    let sent = world.message("odd").with_headers(headers);
    let arrived = sent_to(world, &destination, sent.clone()).await;
    assert_headers(&sent, &arrived);
}

async fn any_legal_key_arrives_unchanged(world: &World) {
    let destination = world.declared("keys").await;
    for key in [" ", "주문/1 ä", "a b\"<&>'", "%2F+=;", &"k".repeat(crate::name::KEY_BYTES_MAX)] {
        let sent = world.keyed(key, "keyed");
        let arrived = sent_to(world, &destination, sent).await;
        assert_eq!(arrived.key().map(MessageKey::as_str), Some(key));
    }
}

async fn what_a_message_was_not_given_it_does_not_arrive_with(world: &World) {
    let destination = world.declared("bare").await;
    let arrived = sent_to(world, &destination, world.message("bare")).await;
    assert_eq!((arrived.key(), arrived.content_type()), (None, None));
}

/// `message` as a receiver of `destination` gets it.
async fn sent_to(world: &World, destination: &Destination, message: Message) -> Message {
    world.publish_all(vec![Outgoing::new(destination.clone(), message)]).await;
    let receiver = world.receiver(destination).await;
    let delivery = world.take_one(&receiver).await;
    let arrived = delivery.message().clone();
    world.ack(&receiver, vec![delivery]).await;
    arrived
}

/// A layer or backend may add headers of its own.
fn assert_headers(sent: &Message, arrived: &Message) {
    for (name, value) in sent.headers().iter() {
        assert_eq!(arrived.headers().get(name), Some(value), "the header {name:?}");
    }
}
