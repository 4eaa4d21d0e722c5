//! How values are written: rows as JSON, sums as sixteen bytes.

use bus::{Error, ErrorKind, Result};
use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A row as stored.
///
/// # Panics
/// Never for rows of this crate: they are plain structs of texts and numbers.
#[must_use]
pub fn encode(row: &impl Serialize) -> Bytes {
    serde_json::to_vec(row).expect("rows are plain data").into()
}

/// A row as read.
///
/// # Errors
/// [`ErrorKind::Unexpected`] when the bytes are not such a row: written by another version, or damaged.
pub fn decode<T: DeserializeOwned>(bytes: &Bytes) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|error| {
        let message = "a stored row cannot be read; it is damaged or of another version";
        Error::new(ErrorKind::Unexpected, "store", message).caused_by(error)
    })
}

/// A sum as read; what was never added to is zero.
pub(crate) fn sum(bytes: Option<&Bytes>) -> i128 {
    bytes.and_then(|bytes| <[u8; 16]>::try_from(&bytes[..]).ok()).map_or(0, i128::from_be_bytes)
}

pub(super) fn sum_bytes(sum: i128) -> Bytes {
    Bytes::copy_from_slice(&sum.to_be_bytes())
}
