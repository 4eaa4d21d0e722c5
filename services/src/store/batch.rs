//! One atomic write: conditions, then changes.

use bytes::Bytes;

use super::{Key, Table};

/// Conditions and changes, applied together or not at all, in the order they were added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch(pub(super) Vec<Operation>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Expect { key: Key, value: Option<Bytes> },
    Put { key: Key, value: Bytes },
    Delete { key: Key },
    Append { table: Table, value: Bytes },
    Add { key: Key, amount: i128, at_least: Option<i128> },
}

/// What became of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a rejected batch has written nothing"]
pub enum Written {
    /// It is durable. The numbers its appends were given, in order.
    Applied(Vec<u64>),
    /// A condition on this key did not hold: nothing was written.
    Rejected(Key),
}

impl Batch {
    /// Nothing to do.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Only if `key` has exactly this value, or none.
    #[must_use]
    pub fn expect(mut self, key: Key, value: Option<Bytes>) -> Self {
        self.0.push(Operation::Expect { key, value });
        self
    }

    /// Sets `key`.
    #[must_use]
    pub fn put(mut self, key: Key, value: impl Into<Bytes>) -> Self {
        self.0.push(Operation::Put { key, value: value.into() });
        self
    }

    /// Removes `key`, if it is there.
    #[must_use]
    pub fn delete(mut self, key: Key) -> Self {
        self.0.push(Operation::Delete { key });
        self
    }

    /// Puts `value` under the next number of `table`. Numbers are given in commit order and never
    /// twice, so a reader that has seen number n has seen all before it.
    #[must_use]
    pub fn append(mut self, table: Table, value: impl Into<Bytes>) -> Self {
        self.0.push(Operation::Append { table, value: value.into() });
        self
    }

    /// Adds to a sum, which begins at zero; rejected when the sum would be below `at_least`.
    #[must_use]
    pub fn add(mut self, key: Key, amount: i128, at_least: Option<i128>) -> Self {
        self.0.push(Operation::Add { key, amount, at_least });
        self
    }

    /// These conditions and changes, then those of `other`.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// Whether it holds nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
