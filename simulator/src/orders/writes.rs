//! What a write to a store is about, in words: the orders and the tables.

use std::collections::BTreeSet;

use services::store::{Batch, Table};

use super::names::Names;
use super::store::TABLES;

/// Of an order's number, what is behind its `ORD-`.
const NUMBER_BYTES: usize = 24;

/// Such as `order 3: Orders, Outbox`. Batches are opaque to all but stores, so it reads how they print
/// themselves.
pub(super) fn about(batch: &Batch, names: &Names) -> String {
    let text = format!("{batch:?}");
    let numbers = text.split("ORD-").skip(1).filter_map(|rest| rest.get(..NUMBER_BYTES));
    let orders: BTreeSet<String> = numbers.map(|number| names.stable(&format!("ORD-{number}"))).collect();
    let keys = ["Put { key: Key(", "Delete { key: Key(", "Add { key: Key("];
    let keyed = keys.into_iter().flat_map(|key| text.split(key).skip(1)).filter_map(table);
    let appended = text.split("Append { table: ").skip(1);
    let appended =
        appended.filter_map(|rest| TABLES.into_iter().find(|table| rest.starts_with(&format!("{table:?},"))));
    let tables: BTreeSet<Table> = keyed.chain(appended).collect();
    let tables: Vec<String> = tables.into_iter().map(|table| format!("{table:?}")).collect();
    let orders: Vec<String> = orders.into_iter().collect();
    match (orders.is_empty(), tables.is_empty()) {
        (_, true) => orders.join(" and "),
        (true, false) => tables.join(", "),
        (false, false) => format!("{}: {}", orders.join(" and "), tables.join(", ")),
    }
}

/// The table of a key, whose first byte it is.
fn table(key: &str) -> Option<Table> {
    TABLES.into_iter().find(|table| key.starts_with(&(*table as u8).escape_ascii().to_string()))
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
    }
}
