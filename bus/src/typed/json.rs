//! JSON by serde.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Codec, Decode, Encode};
use crate::{Error, ErrorKind, Result};

/// `application/json` through `serde_json`.
///
/// It understands `application/json`, `text/json` and every `…+json` (RFC 6839), with any
/// parameters: JSON is UTF-8 whatever a `charset` says (RFC 8259). As always with serde, a struct
/// may also come as a list of its fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Json;

impl Codec for Json {
    fn content_type(&self) -> &'static str {
        "application/json"
    }

    fn understands(&self, content_type: &str) -> bool {
        let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        matches!(media_type.as_str(), "application/json" | "text/json") || media_type.ends_with("+json")
    }
}

impl<T: Serialize + ?Sized> Encode<T> for Json {
    fn encode(&self, value: &T) -> Result<Bytes> {
        match serde_json::to_vec(value) {
            Ok(body) => Ok(body.into()),
            Err(fault) => Err(Error::new(ErrorKind::Invalid, "encode json", fault.to_string())),
        }
    }
}

impl<T: DeserializeOwned> Decode<T> for Json {
    fn decode(&self, body: &[u8]) -> Result<T> {
        serde_json::from_slice(body).map_err(|fault| Error::new(ErrorKind::Invalid, "decode json", place_first(&fault)))
    }
}

/// `serde_json` says the place last; where a text is cut, that is what would be missed.
fn place_first(fault: &serde_json::Error) -> String {
    let (line, column, text) = (fault.line(), fault.column(), fault.to_string());
    let text = text.strip_suffix(&format!(" at line {line} column {column}")).unwrap_or(&text);
    format!("line {line}, column {column}: {text}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_known_by_its_media_types_and_nothing_else_is() {
        let check =
            |content_type: &str, expected| assert_eq!(Json.understands(content_type), expected, "{content_type}");
        check("application/json", true);
        check("Application/JSON; charset=utf-8", true);
        check("application/cloudevents+json", true);
        check("text/json", true);
        check("text/plain", false);
        check("application/jsonl", false);
        check("", false);
    }

    #[test]
    fn a_fault_is_told_with_its_place_first() {
        let fault = Decode::<Vec<u32>>::decode(&Json, b"[1,\n 2x]").expect_err("no number");
        assert_eq!(fault.kind(), ErrorKind::Invalid);
        assert_eq!(fault.to_string(), "decode json: line 2, column 3: expected `,` or `]`");
    }

    #[test]
    fn a_body_is_read_to_its_end() {
        let fault = Decode::<u32>::decode(&Json, b"1 2").expect_err("two numbers");
        assert_eq!(fault.to_string(), "decode json: line 1, column 3: trailing characters");
    }

    #[test]
    fn a_value_without_json_is_invalid() {
        let no_text_key = std::collections::BTreeMap::from([((1, 2), 3)]);
        assert_eq!(Json.encode(&no_text_key).expect_err("keys are text in JSON").kind(), ErrorKind::Invalid);
    }
}
