//! Looking on while things come to rest: at what is on the disks, which changes nothing in the run.

use std::collections::BTreeMap;

use serde::Deserialize;
use services::domain::{OrderNumber, Status};
use services::store::{Table, decode};

use super::evidence::unsent;
use super::scene::Scene;

/// What has been seen so far.
#[derive(Debug, Default)]
pub(super) struct Onlooker {
    /// Versions of orders and of copies.
    versions: [BTreeMap<OrderNumber, u64>; 2],
    /// Versions that were seen to go back.
    backwards: Vec<String>,
    /// How much was written when it looked last, and whether all was at rest then.
    looked_at: Option<((u64, u64), bool)>,
}

/// What matters of an order.
#[derive(Deserialize)]
struct Order {
    order_number: OrderNumber,
    status: Status,
    version: u64,
}

#[derive(Deserialize)]
struct Copy {
    order: Order,
}

impl Onlooker {
    /// Whether the stores say that all is done: nothing is to be sent or acknowledged, and every order
    /// has an end, and a copy that is up to date.
    pub(super) fn is_at_rest(&mut self, scene: &Scene) -> bool {
        let written = (scene.producer.disk.write_count(), scene.consumer.disk.write_count());
        match self.looked_at {
            // Where nothing was written there is nothing new to see.
            Some((last, is_at_rest)) if last == written => is_at_rest,
            _ => {
                let is_at_rest = self.look(scene);
                self.looked_at = Some((written, is_at_rest));
                is_at_rest
            }
        }
    }

    /// Orders and copies whose version was lower than it had been.
    pub(super) fn into_backwards(self) -> Vec<String> {
        self.backwards
    }

    fn look(&mut self, scene: &Scene) -> bool {
        let orders = scene.producer.disk.scan(&Table::Orders.all());
        let orders: Vec<Order> = orders.iter().filter_map(|(_, row)| decode(row).ok()).collect();
        let copies = scene.consumer.disk.scan(&Table::Copies.all());
        let copies = copies.iter().filter_map(|(_, row)| decode::<Copy>(row).ok());
        let copies: Vec<Order> = copies.map(|copy| copy.order).collect();
        self.note(0, "order", &orders);
        self.note(1, "copy", &copies);
        let is_same = |order: &Order| self.versions[1].get(&order.order_number) == Some(&order.version);
        orders.len() == copies.len()
            && orders.iter().all(|order| order.status != Status::Pending && is_same(order))
            && unsent(scene).is_empty()
    }

    fn note(&mut self, side: usize, what: &str, seen: &[Order]) {
        for Order { order_number, version, .. } in seen {
            let before = self.versions[side].insert(order_number.clone(), *version).unwrap_or(0);
            if *version < before {
                let number = order_number.as_str();
                self.backwards.push(format!("{what} {number} went from version {before} to {version}"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_lower_than_before_is_noted_and_each_side_has_its_own() {
        let order = |version| {
            let order_number = OrderNumber::parse("ORD-1").expect("legal");
            [Order { order_number, status: Status::Completed, version }]
        };
        let mut onlooker = Onlooker::default();
        for (side, what, version) in [(0, "order", 3), (1, "copy", 2), (1, "copy", 3), (0, "order", 3)] {
            onlooker.note(side, what, &order(version));
        }
        assert_eq!(onlooker.backwards, Vec::<String>::new());
        onlooker.note(1, "copy", &order(2));
        assert_eq!(onlooker.into_backwards(), ["copy ORD-1 went from version 3 to 2"]);
    }
}
