//! Names of what is stored: a table, then the parts of the key in an order that sorts.

use std::fmt;
use std::ops::Bound;

macro_rules! tables {
    ($($(#[doc = $doc:literal])+ $name:ident = $number:literal,)+) => {
        /// The tables of both services; the number is the first byte of each key on disk and never changes.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Table { $($(#[doc = $doc])+ $name = $number,)+ }

        impl Table {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)+];
        }
    };
}

tables! {
    /// Next sequence number per table.
    Sequence = 1,
    /// Outbox rows by sequence.
    Outbox = 2,
    /// Outbox rows the bus refused, by sequence.
    Parked = 3,
    /// Inbox rows by subscription and message id.
    Inbox = 4,
    /// Inbox rows by the time they may be forgotten.
    InboxExpiry = 5,
    /// The store's own name.
    Identity = 6,
    /// Producer: orders by number.
    Orders = 16,
    /// Producer: order numbers by id.
    OrdersById = 17,
    /// Producer: order numbers by status and id.
    OrdersByStatus = 18,
    /// Producer: order numbers by change sequence.
    Changes = 19,
    /// Producer: answers by idempotency key.
    Idempotency = 20,
    /// Producer: idempotency keys by the time they may be forgotten.
    IdempotencyExpiry = 21,
    /// Consumer: copies of the producer's orders by number.
    Copies = 32,
    /// Consumer: order numbers in the order their copies came.
    CopiesBySequence = 33,
    /// Consumer: what became of each order, by number.
    Processed = 34,
    /// Consumer: order numbers in the order they were taken up.
    ProcessedBySequence = 35,
    /// Consumer: order numbers whose result the producer has not acknowledged.
    Unacknowledged = 36,
    /// Consumer: how far the reconciler has read the producer's changes.
    Cursor = 37,
    /// Consumer: entries of the books by order and step.
    Books = 48,
    /// Consumer: sums over the books.
    Totals = 49,
}

impl Table {
    /// The key with this one part, the last of its kind: it may hold any byte.
    #[must_use]
    pub fn key(self, part: impl AsRef<[u8]>) -> Key {
        Key::in_table(self).then(part)
    }

    /// The key of a sequence number, which sorts as the number does.
    #[must_use]
    pub fn number(self, number: u64) -> Key {
        self.key(number.to_be_bytes())
    }

    /// All keys of the table.
    #[must_use]
    pub fn all(self) -> Range {
        Range::under(&Key::in_table(self))
    }
}

/// A key: the table's number and the parts.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Vec<u8>);

impl Key {
    fn in_table(table: Table) -> Self {
        Self(vec![table as u8])
    }

    /// The key with `part` appended as it is.
    #[must_use]
    pub fn then(mut self, part: impl AsRef<[u8]>) -> Self {
        self.0.extend_from_slice(part.as_ref());
        self
    }

    /// The key with a text part that more parts may follow: closed by a zero byte, which no text of
    /// ours contains, so that no name is the beginning of another.
    #[must_use]
    pub fn text(self, part: &str) -> Self {
        self.then(part).then([0])
    }

    /// The bytes, as stored.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// A key read back from a store.
    #[must_use]
    pub fn from_stored(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// Whether it is a key of `table`.
    #[must_use]
    pub fn is_of(&self, table: Table) -> bool {
        self.0.first() == Some(&(table as u8))
    }

    /// The number at the end of the key, where it ends in one.
    #[must_use]
    pub fn last_number(&self) -> Option<u64> {
        self.0.last_chunk::<8>().map(|bytes| u64::from_be_bytes(*bytes))
    }

    /// The first key that does not begin with this one.
    fn successor(&self) -> Bound<Vec<u8>> {
        let mut end = self.0.clone();
        while let Some(last) = end.pop() {
            if last < u8::MAX {
                end.push(last + 1);
                return Bound::Excluded(end);
            }
        }
        Bound::Unbounded
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.0.escape_ascii())
    }
}

/// A stretch of keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range(Bound<Vec<u8>>, Bound<Vec<u8>>);

impl Range {
    /// All keys that begin with `prefix`.
    #[must_use]
    pub fn under(prefix: &Key) -> Self {
        Self(Bound::Included(prefix.0.clone()), prefix.successor())
    }

    /// Of these, the keys above `key`.
    #[must_use]
    pub fn after(self, key: &Key) -> Self {
        Self(Bound::Excluded(key.0.clone()), self.1)
    }

    /// Of these, the keys below `key`.
    #[must_use]
    pub fn before(self, key: &Key) -> Self {
        Self(self.0, Bound::Excluded(key.0.clone()))
    }

    /// Whether it begins in `table`; no range of ours crosses tables.
    #[must_use]
    pub fn is_of(&self, table: Table) -> bool {
        match &self.0 {
            Bound::Included(from) | Bound::Excluded(from) => from.first() == Some(&(table as u8)),
            Bound::Unbounded => false,
        }
    }

    /// The two ends.
    #[must_use]
    pub fn bounds(&self) -> (Bound<Vec<u8>>, Bound<Vec<u8>>) {
        (self.0.clone(), self.1.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_where_the_next_table_begins() {
        assert_eq!(Key(vec![4, 255, 255]).successor(), Bound::Excluded(vec![5]));
        assert_eq!(Key(vec![255]).successor(), Bound::Unbounded);
    }

    #[test]
    fn no_text_part_is_the_beginning_of_another() {
        let range = Range::under(&Key::in_table(Table::Inbox).text("sync"));
        let other = Key::in_table(Table::Inbox).text("sync-events").then("m");
        let Bound::Excluded(end) = range.bounds().1 else { panic!("bounded") };
        assert!(other.as_bytes() > &end[..]);
    }
}
