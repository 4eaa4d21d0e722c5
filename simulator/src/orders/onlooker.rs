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
                let is_at_rest = look(scene);
                self.looked_at = Some((written, is_at_rest));
                is_at_rest
            }
        }
    }
}

fn look(scene: &Scene) -> bool {
    let orders = scene.producer.disk.scan(&Table::Orders.all());
    let copies = scene.consumer.disk.scan(&Table::Copies.all());
    // What takes no reading of rows first: most looks end there.
    if orders.len() != copies.len() || !unsent(scene).is_empty() {
        return false;
    }
    let copies = copies.iter().filter_map(|(_, row)| decode(row).ok());
    let copies: BTreeMap<OrderNumber, u64> = copies.map(|Copy { order }| (order.order_number, order.version)).collect();
    let is_done =
        |order: &Order| order.status != Status::Pending && copies.get(&order.order_number) == Some(&order.version);
    orders.iter().filter_map(|(_, row)| decode(row).ok()).all(|order| is_done(&order))
}
