//! What a change writes.

use crate::error::Error;

/// The longest key, in bytes. It keeps an inner page of sled, which holds up to 257 keys, far from
/// the size at which sled moves it to a file of its own; see [`VALUE_BYTES_MAX`].
pub const KEY_BYTES_MAX: usize = 1024;

/// The longest value, in bytes.
///
/// sled moves a page longer than a quarter of a segment to a "blob" file, which it never syncs,
/// and whose predecessor it may delete before the new one is referred to on disk. A leaf has up to
/// 17 entries, 20 after a merge; at this limit that is two thirds of the quarter segment.
pub const VALUE_BYTES_MAX: usize = 32 * 1024;

/// Puts and deletes that reach the disk together or not at all, in the order given.
///
/// ```
/// let mut write = journal::Write::new();
/// write.put(*b"state", *b"paid").delete(*b"state/unpaid");
/// assert!(!write.is_empty());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use = "a write does nothing until it is committed"]
pub struct Write {
    operations: Vec<Operation>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Operation {
    pub(crate) key: Vec<u8>,
    /// `None` deletes.
    pub(crate) value: Option<Vec<u8>>,
}

impl Write {
    /// Writes nothing yet.
    pub const fn new() -> Self {
        Self { operations: Vec::new() }
    }

    /// Adds: the key has this value.
    pub fn put(&mut self, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> &mut Self {
        self.operations.push(Operation { key: key.into(), value: Some(value.into()) });
        self
    }

    /// Adds: the key has no value. Deleting an absent key is no error.
    pub fn delete(&mut self, key: impl Into<Vec<u8>>) -> &mut Self {
        self.operations.push(Operation { key: key.into(), value: None });
        self
    }

    /// Whether there is nothing to write.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    /// Refuses what sled would move to files that nobody syncs.
    pub(crate) fn check(&self) -> Result<(), Error> {
        for Operation { key, value } in &self.operations {
            check("key", key.len(), KEY_BYTES_MAX)?;
            check("value", value.as_ref().map_or(0, Vec::len), VALUE_BYTES_MAX)?;
        }
        Ok(())
    }

    pub(crate) fn into_operations(self) -> Vec<Operation> {
        self.operations
    }
}

const fn check(what: &'static str, bytes: usize, bytes_max: usize) -> Result<(), Error> {
    if bytes > bytes_max { Err(Error::TooLarge { what, bytes, bytes_max }) } else { Ok(()) }
}
