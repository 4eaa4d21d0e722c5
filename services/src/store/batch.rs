//! One atomic write: conditions, then changes.

use bytes::Bytes;

use super::{Key, Table};

/// Conditions and changes, applied together or not at all, in the order they were added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch(pub(super) Vec<Operation>);

/// One condition or change of a batch, for what stands around a store and has to look inside.
///
/// A batch is its operations in order: [`Batch`] iterates over them, and collects from them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// See [`Batch::expect`].
    Expect {
        /// Of this key.
        key: Key,
        /// Exactly this, or nothing.
        value: Option<Bytes>,
    },
    /// See [`Batch::put`].
    Put {
        /// This key.
        key: Key,
        /// Has this value.
        value: Bytes,
    },
    /// See [`Batch::delete`].
    Delete {
        /// This key is gone.
        key: Key,
    },
    /// See [`Batch::append`].
    Append {
        /// This table grows.
        table: Table,
        /// By this value.
        value: Bytes,
    },
    /// See [`Batch::add`].
    Add {
        /// The sum of this key.
        key: Key,
        /// Grows by this.
        amount: i128,
        /// And must not come out lower.
        at_least: Option<i128>,
    },
}

impl Operation {
    /// Whether it is about `table`.
    #[must_use]
    pub fn is_of(&self, table: Table) -> bool {
        match self {
            Self::Append { table: own, .. } => *own == table,
            Self::Expect { key, .. } | Self::Put { key, .. } | Self::Delete { key } | Self::Add { key, .. } => {
                key.is_of(table)
            }
        }
    }
}

impl IntoIterator for Batch {
    type Item = Operation;
    type IntoIter = std::vec::IntoIter<Operation>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a Batch {
    type Item = &'a Operation;
    type IntoIter = std::slice::Iter<'a, Operation>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl FromIterator<Operation> for Batch {
    fn from_iter<I: IntoIterator<Item = Operation>>(operations: I) -> Self {
        Self(operations.into_iter().collect())
    }
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

    /// Its operations, in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Operation> {
        self.0.iter()
    }

    /// Whether it holds nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_taken_apart_by_tables_and_put_together_again() {
        let (row, sum) = (Table::Orders.key("X"), Table::Totals.key("X"));
        let orders = Batch::new().expect(row.clone(), None).put(row.clone(), "new").delete(row);
        let outbox = Batch::new().append(Table::Outbox, "message");
        let totals = Batch::new().add(sum, 2, Some(0));
        let whole = orders.clone().and(outbox.clone()).and(totals.clone());
        for (table, expected) in [(Table::Orders, orders), (Table::Outbox, outbox), (Table::Totals, totals)] {
            let part: Batch = whole.clone().into_iter().filter(|operation| operation.is_of(table)).collect();
            assert_eq!(part, expected);
        }
        assert_eq!(whole.clone().into_iter().collect::<Batch>(), whole);
    }
}
