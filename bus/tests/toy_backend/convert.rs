use bus::{Headers, Message, MessageId, MessageKey};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// A message as this broker carries it: a JSON document.
#[derive(Serialize, Deserialize)]
struct Frame {
    /// Absent where the producer does not use this crate.
    id: Option<String>,
    key: Option<String>,
    content_type: Option<String>,
    #[serde(default)]
    headers: Vec<(String, Bytes)>,
    body: Bytes,
}

/// The frame of a message. Everything of it is in there, the bytes of odd headers included.
pub(crate) fn encode(message: &Message) -> Bytes {
    let frame = Frame {
        id: (!message.is_foreign()).then(|| message.id().to_string()),
        key: message.key().map(ToString::to_string),
        content_type: message.content_type().map(str::to_owned),
        headers: message.headers().iter().map(|(name, value)| (name.to_owned(), value.clone())).collect(),
        body: message.body().clone(),
    };
    serde_json::to_vec(&frame).expect("a frame has text for keys").into()
}

/// The message of a frame, or why there is none: whatever a stranger may have sent is an answer here,
/// never a panic.
pub(crate) fn decode(number: u64, frame: &[u8]) -> Result<Message, String> {
    let frame: Frame = serde_json::from_slice(frame).map_err(|fault| format!("not a frame: {fault}"))?;
    let message = match frame.id {
        Some(id) => Message::new(MessageId::parse(&id).map_err(|fault| fault.to_string())?, frame.body),
        None => Message::foreign(own_id(number), frame.body),
    };
    let headers: Headers = frame.headers.into_iter().collect();
    let message = match frame.key {
        Some(key) => message.with_key(MessageKey::new(&key).map_err(|fault| fault.to_string())?),
        None => message,
    };
    let message = message.with_headers(headers);
    Ok(match frame.content_type {
        Some(content_type) => message.with_content_type(content_type),
        None => message,
    })
}

/// What nothing could be made of, as a message: its bytes as they came, under the broker's number.
pub(crate) fn raw(number: u64, frame: Bytes) -> Message {
    Message::foreign(own_id(number), frame)
}

fn own_id(number: u64) -> MessageId {
    MessageId::parse(&format!("toy-{number}")).expect("short, and without control characters")
}
