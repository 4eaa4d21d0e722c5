//! What the disks were seen to take, write by write in the order of commits: what is mended later is seen, too.

use std::collections::BTreeMap;

use serde::Deserialize;
use services::store::{Batch, Key, Operation, Table, decode};

use super::watch::{MessageName, Seen};

/// The rows of a batch that are watched.
pub(super) type Rows = Vec<(Key, bytes::Bytes)>;

/// What is on the disks, as far as it is watched.
#[derive(Clone, Debug, Default)]
pub(super) struct Stored {
    /// The last version of each order and copy.
    versions: BTreeMap<(&'static str, String), u64>,
    starts: BTreeMap<MessageName, StartCount>,
}

/// Starts of a message that are counted now.
#[derive(Clone, Copy, Debug, Default)]
struct StartCount {
    attempts: u32,
    /// How often the count went back to zero.
    epoch: u32,
}

impl Stored {
    /// How often the starts of a message were all forgotten.
    pub(super) fn epoch(&self, name: &MessageName) -> u32 {
        self.starts.get(name).map_or(0, |starts| starts.epoch)
    }
}

/// What matters of an order.
#[derive(Deserialize)]
struct Order {
    order_number: String,
    version: u64,
}

#[derive(Deserialize)]
struct Copy {
    order: Order,
}

/// What matters of an inbox row.
#[derive(Deserialize)]
struct Starts {
    attempts: u32,
}

/// What `batch` writes, if it is applied, of orders, copies, and the starts of handlers.
pub(super) fn watched(batch: &Batch) -> Rows {
    let is_watched = |key: &Key| [Table::Orders, Table::Copies, Table::Inbox].iter().any(|table| key.is_of(*table));
    let row = |operation: &Operation| match operation {
        Operation::Put { key, value } if is_watched(key) => Some((key.clone(), value.clone())),
        _ => None,
    };
    batch.iter().filter_map(row).collect()
}

/// Whether `batch` does nothing but count a start of a handler, or take one back.
pub(super) fn is_count(batch: &Batch) -> bool {
    let is_inbox = |operation: &Operation| operation.is_of(Table::Inbox) || operation.is_of(Table::InboxExpiry);
    !batch.is_empty() && batch.iter().all(is_inbox)
}

impl Seen {
    /// These rows are on a disk now.
    pub(super) fn committed(&mut self, rows: Rows) {
        for (key, value) in rows {
            if key.is_of(Table::Inbox) {
                if let (Some(name), Ok(Starts { attempts })) = (message_name(&key), decode(&value)) {
                    self.counted(name, attempts);
                }
                continue;
            }
            let (what, order) = match key.is_of(Table::Orders) {
                true => ("order", decode(&value)),
                false => ("copy", decode(&value).map(|Copy { order }| order)),
            };
            if let Ok(Order { order_number, version }) = order {
                self.versioned(what, &order_number, version);
            }
        }
    }

    /// Each side has versions of its own.
    fn versioned(&mut self, what: &'static str, number: &str, version: u64) {
        let before = self.stored.versions.insert((what, number.to_owned()), version).unwrap_or(0);
        if version < before {
            self.backwards.push(format!("{what} {number} went from version {before} to {version}"));
        }
    }

    /// The starts of a message are so many now.
    fn counted(&mut self, name: MessageName, attempts: u32) {
        let starts = self.stored.starts.entry(name.clone()).or_default();
        let before = std::mem::replace(&mut starts.attempts, attempts);
        let runs = self.runs.entry(name).or_default();
        runs.stored_count += attempts.saturating_sub(before);
        // One is taken back, all are forgotten.
        runs.stored_count -= u32::from(attempts + 1 == before);
        if attempts == 0 {
            // It is among the dead letters: should it come again, it begins with a first attempt.
            starts.epoch += 1;
            runs.failed_count = 0;
        }
    }
}

/// The message of an inbox row: the subscription, closed by a zero byte, and the id.
pub(super) fn message_name(key: &Key) -> Option<MessageName> {
    let name = key.as_bytes().get(1..)?;
    let end = name.iter().position(|byte| *byte == 0)?;
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
    Some((text(&name[..end])?, text(&name[end + 1..])?))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bus::pipeline::Attempts;
    use bus::{Destination, MessageId, Seams, Subscription};
    use futures_util::FutureExt;
    use services::store::{Direction, Mailbox, MemoryStore, Store, encode};

    use super::*;

    #[test]
    fn a_version_lower_than_before_is_noted_whatever_comes_after_and_each_side_has_its_own() {
        let write = |table: Table, version: u64| {
            let order = serde_json::json!({"order_number": "ORD-1", "version": version, "status": "PENDING"});
            let row = if table == Table::Copies { serde_json::json!({"order": order}) } else { order };
            Batch::new()
                .expect(table.key("ORD-1"), None)
                .put(table.key("ORD-1"), encode(&row))
                .append(Table::Outbox, "")
        };
        let mut seen = Seen::default();
        let (orders, copies) = (Table::Orders, Table::Copies);
        for (table, version) in [(orders, 3), (copies, 2), (copies, 3), (orders, 3), (orders, 4)] {
            seen.committed(watched(&write(table, version)));
        }
        assert_eq!(seen.backwards, Vec::<String>::new());
        for version in [2, 3, 4] {
            seen.committed(watched(&write(copies, version)));
        }
        assert_eq!(seen.backwards, ["copy ORD-1 went from version 3 to 2"]);
    }

    #[test]
    fn starts_are_read_from_what_the_mailbox_writes() {
        let store = Arc::new(MemoryStore::new());
        let mailbox = Mailbox::new(Arc::clone(&store) as _, Seams::system());
        let subscription = Subscription::to(Destination::new("orders").unwrap());
        let id = [MessageId::parse("m-1").unwrap()];
        let mut seen = Seen::default();
        let mut look = || {
            let rows = store.scan(&Table::Inbox.all(), Direction::Forward, 9).now_or_never().unwrap().unwrap();
            seen.committed(rows);
            let name = ("orders".to_owned(), "m-1".to_owned());
            (seen.runs[&name].stored_count, seen.stored.epoch(&name))
        };
        let begin = || drop(mailbox.begin(&subscription, &id).now_or_never().unwrap().unwrap());
        begin();
        assert_eq!(look(), (1, 0));
        begin();
        begin();
        assert_eq!(look(), (3, 0));
        mailbox.forgive(&subscription, &id).now_or_never().unwrap().unwrap();
        assert_eq!(look(), (2, 0));
        mailbox.forget(&subscription, &id[0]).now_or_never().unwrap().unwrap();
        assert_eq!(look(), (2, 1), "what is forgotten was counted all the same");
        begin();
        assert_eq!(look(), (3, 1));
    }

    #[test]
    fn a_count_is_a_write_of_the_inbox_alone() {
        let count = Batch::new().expect(Table::Inbox.key("x"), None).put(Table::InboxExpiry.key("x"), "");
        assert!(is_count(&count));
        assert!(!is_count(&count.append(Table::Outbox, "")) && !is_count(&Batch::new()));
    }
}
