//! A message as bytes.
//!
//! One byte of version, then the parts in order: when it is due (calendar milliseconds), id, key,
//! content type, the number of headers, names and values by turns, body. Numbers are little-endian;
//! text and bytes carry their length; what may be absent is preceded by 0 or 1.

use bus::{Headers, Message, MessageId, MessageKey};
use bytes::Bytes;

const VERSION: u8 = 1;

pub(super) fn encode(message: &Message, due: Option<i64>) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.size_bytes() + 128);
    out.push(VERSION);
    put_optional(&mut out, due.map(i64::to_le_bytes).as_ref().map(|bytes| &bytes[..]));
    put(&mut out, message.id().to_string().as_bytes());
    put_optional(&mut out, message.key().map(|key| key.as_str().as_bytes()));
    put_optional(&mut out, message.content_type().map(str::as_bytes));
    out.extend((message.headers().count() as u64).to_le_bytes());
    for (name, value) in message.headers().iter() {
        put(&mut out, name.as_bytes());
        put(&mut out, value);
    }
    put(&mut out, message.body());
    out
}

/// The message and when it is due. Why it could not be read, otherwise.
pub(super) fn decode(bytes: &Bytes) -> Result<(Message, Option<i64>), String> {
    let mut rest = Rest(bytes.clone());
    let version = rest.take(1)?[0];
    if version != VERSION {
        return Err(format!("version {version} of a message, this build reads {VERSION}"));
    }
    let due = match rest.optional()? {
        None => None,
        Some(due) => Some(i64::from_le_bytes(due[..].try_into().map_err(|_| "a due time of another length")?)),
    };
    let id = MessageId::parse(&rest.text()?).map_err(|error| error.to_string())?;
    let key = rest.optional()?.map(text).transpose()?;
    let content_type = rest.optional()?.map(text).transpose()?;
    let mut headers = Headers::new();
    for _ in 0..rest.number()? {
        let name = rest.text()?;
        headers.set(name, rest.sized()?);
    }
    let mut message = Message::new(id, rest.sized()?).with_headers(headers);
    if !rest.0.is_empty() {
        return Err(format!("{} bytes too many", rest.0.len()));
    }
    if let Some(key) = key {
        message = message.with_key(MessageKey::new(&key).map_err(|error| error.to_string())?);
    }
    if let Some(content_type) = content_type {
        message = message.with_content_type(content_type);
    }
    Ok((message, due))
}

fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend((bytes.len() as u64).to_le_bytes());
    out.extend(bytes);
}

fn put_optional(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    out.push(u8::from(bytes.is_some()));
    if let Some(bytes) = bytes {
        put(out, bytes);
    }
}

fn text(bytes: Bytes) -> Result<String, String> {
    String::from_utf8(bytes.into()).map_err(|error| error.to_string())
}

/// What is still to be read.
struct Rest(Bytes);

impl Rest {
    fn take(&mut self, count: usize) -> Result<Bytes, String> {
        if count > self.0.len() {
            return Err(format!("{count} bytes announced, {} left", self.0.len()));
        }
        Ok(self.0.split_to(count))
    }

    fn number(&mut self) -> Result<u64, String> {
        let bytes = self.take(8)?;
        Ok(u64::from_le_bytes(bytes[..].try_into().map_err(|_| "eight bytes were taken")?))
    }

    fn sized(&mut self) -> Result<Bytes, String> {
        let count = usize::try_from(self.number()?).map_err(|error| error.to_string())?;
        self.take(count)
    }

    fn optional(&mut self) -> Result<Option<Bytes>, String> {
        match self.take(1)?[0] {
            0 => Ok(None),
            1 => Ok(Some(self.sized()?)),
            other => Err(format!("neither present nor absent: {other}")),
        }
    }

    fn text(&mut self) -> Result<String, String> {
        text(self.sized()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(id: &str) -> Message {
        Message::new(MessageId::parse(id).expect("a legal id"), &b"body"[..])
    }

    #[test]
    fn a_message_reads_back_as_it_was_written() {
        let bare = message("ORD/1");
        let full = message("646dc4b0-6c5e-4c02-bf76-032bdc36c3e4")
            .with_key(MessageKey::new("주문").expect("a legal key"))
            .with_content_type("application/json")
            .with_headers([("", &b""[..]), ("odd", &[0xff, 0][..])].into_iter().collect());
        for (message, due) in [(bare, None), (full, Some(-7))] {
            let bytes = Bytes::from(encode(&message, due));
            assert_eq!(decode(&bytes).expect("readable"), (message, due));
        }
    }

    #[test]
    fn a_damaged_row_is_told_and_never_panics() {
        let bytes = encode(&message("ORD/1").with_headers([("a", "1")].into_iter().collect()), Some(1));
        for count in 0..bytes.len() {
            decode(&Bytes::copy_from_slice(&bytes[..count])).expect_err("cut short");
            let mut flipped = bytes.clone();
            flipped[count] ^= 0xff;
            // Some bytes may be anything, such as those of the body.
            drop(decode(&Bytes::from(flipped)));
        }
        decode(&Bytes::from([&bytes[..], b"x"].concat())).expect_err("too long");
    }
}
