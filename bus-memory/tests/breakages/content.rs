//! Broken promises about what arrives.

use std::borrow::Cow;

use bus::{Headers, Message, MessageId};

use crate::breakage::Breakage;
use crate::layers::{Mangles, handing_out};

breakages! {
    a_header_dropped breaks a_message_arrives_with_its_id_key_content_type_and_headers
        by mangled(|message| with_headers(message, |name, value| (name != "tenant").then_some((name, value))));
    a_key_lost breaks a_message_arrives_with_its_id_key_content_type_and_headers
        by mangled(|message| {
            let bare = with_body(&message, message.body().to_vec());
            match message.content_type() {
                Some(content_type) => bare.with_content_type(content_type.to_owned()),
                None => bare,
            }
        });
    a_content_type_lost breaks a_message_arrives_with_its_id_key_content_type_and_headers
        by mangled(|message| {
            let bare = with_body(&message, message.body().to_vec());
            match message.key() {
                Some(key) => bare.with_key(key.clone()),
                None => bare,
            }
        });
    a_body_taken_for_text breaks bodies_of_any_bytes_arrive_unchanged
        by mangled(|message| with_body(&message, String::from_utf8_lossy(message.body()).into_owned()));
    an_empty_body_replaced breaks bodies_of_any_bytes_arrive_unchanged
        by mangled(|message| if message.body().is_empty() { with_body(&message, " ") } else { message });
    header_names_in_lower_case breaks odd_header_names_and_values_arrive_unchanged
        by mangled(|message| with_headers(message, |name, value| Some((name.to_lowercase(), value))));
    an_empty_header_value_dropped breaks odd_header_names_and_values_arrive_unchanged
        by mangled(|message| with_headers(message, |name, value| (!value.is_empty()).then_some((name, value))));
    header_values_taken_for_text breaks odd_header_names_and_values_arrive_unchanged
        by mangled(|message| with_headers(message, |name, value| {
            Some((name, String::from_utf8_lossy(&value).into_owned().into_bytes()))
        }));
    a_key_cut breaks any_legal_key_arrives_unchanged
        by mangled(|message| match message.key() {
            Some(key) if key.as_str().len() > 64 => with_body(&message, message.body().to_vec()),
            _ => message,
        });
    a_content_type_invented breaks what_a_message_was_not_given_it_does_not_arrive_with
        by mangled(|message| match message.content_type() {
            None => message.with_content_type("application/octet-stream"),
            Some(_) => message,
        });
    an_id_for_each_hand_out breaks a_redelivered_message_is_the_same_message
        by handing_out(|forgery| {
            let id = format!("{}/{:?}", forgery.message.id(), forgery.receive_count);
            let id = MessageId::parse(&id).expect("a legal id");
            forgery.message = Message::new(id, forgery.message.body().clone());
        });
}

/// A bus that changes what it was given.
fn mangled(change: fn(Message) -> Message) -> Breakage {
    Breakage::by(move || Mangles(change))
}

fn with_headers<N: Into<Cow<'static, str>>>(
    message: Message,
    change: impl Fn(String, Vec<u8>) -> Option<(N, Vec<u8>)>,
) -> Message {
    let pairs = message.headers().iter().filter_map(|(name, value)| change(name.to_owned(), value.to_vec()));
    let headers: Headers = pairs.collect();
    message.with_headers(headers)
}

/// Id and headers of `message`, with this body and nothing else.
fn with_body(message: &Message, body: impl Into<Vec<u8>>) -> Message {
    Message::new(message.id().clone(), body.into()).with_headers(message.headers().clone())
}
