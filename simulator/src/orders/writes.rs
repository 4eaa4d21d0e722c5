//! What a write to a store is about, in words: the orders, or else the messages, and the tables.

use std::collections::BTreeSet;

use services::store::{Batch, Operation, Table};

use super::commits::message_name;
use super::names::{NUMBER_BYTES, Names};
use super::watch::MessageName;

/// Such as `order 3: Orders, Outbox`, or `message 1 of order 3: Inbox`. A table that is only looked at does not count.
pub(super) fn about(batch: &Batch, names: &Names) -> String {
    let (mut orders, mut messages, mut tables) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::<Table>::new());
    for operation in batch {
        if !matches!(operation, Operation::Expect { .. }) {
            messages.extend(message_of(operation).map(|(_, id)| names.stable(&id)));
            tables.extend(Table::ALL.iter().filter(|table| operation.is_of(**table)));
        }
        for bytes in texts(operation) {
            let text = String::from_utf8_lossy(bytes);
            let numbers = text.split("ORD-").skip(1).filter_map(|rest| rest.get(..NUMBER_BYTES));
            orders.extend(numbers.map(|number| names.stable(&format!("ORD-{number}"))));
        }
    }
    let tables: Vec<String> = tables.into_iter().map(|table| format!("{table:?}")).collect();
    let subjects = if orders.is_empty() { messages } else { orders };
    let subjects: Vec<String> = subjects.into_iter().collect();
    match (subjects.is_empty(), tables.is_empty()) {
        (_, true) => subjects.join(" and "),
        (true, false) => tables.join(", "),
        (false, false) => format!("{}: {}", subjects.join(" and "), tables.join(", ")),
    }
}

/// The message of an inbox row.
fn message_of(operation: &Operation) -> Option<MessageName> {
    match operation {
        Operation::Put { key, .. } | Operation::Delete { key } if key.is_of(Table::Inbox) => message_name(key),
        _ => None,
    }
}

/// The bytes in which an order may be named.
fn texts(operation: &Operation) -> Vec<&[u8]> {
    match operation {
        Operation::Expect { key, value } => [Some(key.as_bytes()), value.as_deref()].into_iter().flatten().collect(),
        Operation::Put { key, value } => vec![key.as_bytes(), value],
        Operation::Delete { key } | Operation::Add { key, .. } => vec![key.as_bytes()],
        Operation::Append { value, .. } => vec![value],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::Model;
    use crate::orders::{Plan, Profile};

    #[test]
    fn a_write_tells_its_orders_and_tables() {
        let names = Names::of(&Plan::draw(1, Model::Sqs, Profile::Calm, 1));
        let batch = Batch::new()
            .expect(Table::Cursor.key("x"), None)
            .put(Table::Orders.key("ORD-20250831-160000-0000000A"), "{}")
            .delete(Table::Totals.key("a"))
            .append(Table::Outbox, "row");
        assert_eq!(about(&batch, &names), "0000000A: Outbox, Orders, Totals");
        let quoted = Batch::new().put(Table::Processed.key("x"), "{}");
        assert_eq!(about(&quoted, &names), "Processed");
        let row = Table::Inbox.key("").text("orders").then("poison-0");
        let count = Batch::new().expect(row.clone(), None).put(row, "{}");
        assert_eq!(about(&count, &names), "poison-0: Inbox");
        let done = count.put(Table::Orders.key("ORD-20250831-160000-0000000A"), "{}");
        assert_eq!(about(&done, &names), "0000000A: Inbox, Orders", "whose order it is tells more");
    }
}
