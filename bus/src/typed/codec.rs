//! The seam between values and bytes.

use bytes::Bytes;

use crate::Result;

/// A format of message bodies, by its media type.
///
/// Which values it takes is said by [`Encode`] and [`Decode`], each for itself: a JSON codec writes
/// whatever serde can serialize, one for protocol buffers only what was generated for it, and who
/// publishes a type need not be able to read it.
///
/// ```
/// use bus::typed::{Codec, Decode, Encode};
/// use bus::{Error, ErrorKind, Result};
/// use bytes::Bytes;
///
/// /// Text as it is.
/// struct Plain;
///
/// impl Codec for Plain {
///     fn content_type(&self) -> &'static str {
///         "text/plain"
///     }
///
///     fn understands(&self, content_type: &str) -> bool {
///         content_type.split(';').next() == Some("text/plain")
///     }
/// }
///
/// impl Encode<String> for Plain {
///     fn encode(&self, value: &String) -> Result<Bytes> {
///         Ok(Bytes::from(value.clone()))
///     }
/// }
///
/// impl Decode<String> for Plain {
///     fn decode(&self, body: &[u8]) -> Result<String> {
///         let text = String::from_utf8(body.to_vec());
///         text.map_err(|fault| Error::new(ErrorKind::Invalid, "decode text", fault.to_string()))
///     }
/// }
///
/// let body = Plain.encode(&"two".to_owned()).expect("text");
/// assert_eq!(Plain.decode(&body).expect("text"), "two");
/// ```
pub trait Codec: Send + Sync {
    /// The media type written on what it encodes, such as `application/json`.
    fn content_type(&self) -> &'static str;

    /// Whether bodies of this media type, parameters included, are worth a try.
    fn understands(&self, content_type: &str) -> bool;
}

/// Writes values of `T`.
pub trait Encode<T: ?Sized>: Codec {
    /// The body for `value`. The same value gives the same bytes, so that a resend is one.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) for a value this format has no bytes for.
    fn encode(&self, value: &T) -> Result<Bytes>;
}

/// Reads values of `T`.
pub trait Decode<T>: Codec {
    /// The value of `body`, all of it.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid), with the place of the fault first and then the fault:
    /// long reasons lose their end.
    fn decode(&self, body: &[u8]) -> Result<T>;
}
