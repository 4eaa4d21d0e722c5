//! What a batch means, for every implementation.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::batch::Operation;
use super::{Batch, Key, Table, Written, rows};

/// The changes of an accepted batch: new values, `None` for removed keys.
pub(super) type Changes = BTreeMap<Key, Option<Bytes>>;

/// Checks the conditions against `read` and works out the changes; later operations see earlier ones.
pub(super) fn evaluate(batch: Batch, read: impl Fn(&Key) -> Option<Bytes>) -> (Changes, Written) {
    let mut changes = Changes::new();
    let mut numbers = Vec::new();
    let current = |changes: &Changes, key: &Key| match changes.get(key) {
        Some(changed) => changed.clone(),
        None => read(key),
    };
    for operation in batch.0 {
        match operation {
            Operation::Expect { key, value } => {
                if current(&changes, &key) != value {
                    return (Changes::new(), Written::Rejected(key));
                }
            }
            Operation::Put { key, value } => {
                changes.insert(key, Some(value));
            }
            Operation::Delete { key } => {
                changes.insert(key, None);
            }
            Operation::Append { table, value } => {
                let counter = Table::Sequence.key([table as u8]);
                let number = rows::sum(current(&changes, &counter).as_ref()) + 1;
                changes.insert(counter, Some(rows::sum_bytes(number)));
                let number = u64::try_from(number).unwrap_or(u64::MAX);
                changes.insert(table.number(number), Some(value));
                numbers.push(number);
            }
            Operation::Add { key, amount, at_least } => {
                let sum = rows::sum(current(&changes, &key).as_ref()).saturating_add(amount);
                if at_least.is_some_and(|least| sum < least) {
                    return (Changes::new(), Written::Rejected(key));
                }
                changes.insert(key, Some(rows::sum_bytes(sum)));
            }
        }
    }
    (changes, Written::Applied(numbers))
}
