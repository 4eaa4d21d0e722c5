//! Names that stay the same when a run is changed a little: `message 2 of order 3` instead of an id
//! with a time in it.

use std::collections::BTreeMap;

use bus::{Entropy, Message};

use super::plan::Plan;
use crate::chance::Chance;

/// Draws of an order number that are known beforehand.
const DRAWS: usize = 4;
/// Of a number `ORD-yyyyMMdd-HHmmss-8HEX`, what is behind its `ORD-`.
pub(super) const NUMBER_BYTES: usize = 24;

/// What things of one run are called.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// Orders by the part of their number that has no time in it.
    orders: BTreeMap<String, String>,
    messages: BTreeMap<String, String>,
    message_counts: BTreeMap<String, u32>,
}

impl Names {
    /// The names of a plan's orders: their numbers are drawn for its customers.
    pub(super) fn of(plan: &Plan) -> Self {
        let mut orders = BTreeMap::new();
        for wanted in &plan.orders {
            let dice = Chance::new(plan.seed);
            for _ in 0..DRAWS {
                let drawn = dice.bits("order number", &idempotency_key(wanted.customer)) & 0xffff_ffff;
                orders.insert(format!("{drawn:08X}"), format!("order {}", wanted.customer));
            }
        }
        Self { orders, ..Self::default() }
    }

    /// Names a message by its key, when it is first seen.
    pub(super) fn learn(&mut self, message: &Message) {
        let id = message.id().to_string();
        if self.messages.contains_key(&id) {
            return;
        }
        let Some(key) = message.key() else { return };
        let order = self.stable(key.as_str());
        let count = self.message_counts.entry(order.clone()).or_default();
        *count += 1;
        self.messages.insert(id, format!("message {count} of {order}"));
    }

    /// `text` with names for the ids and numbers in it.
    pub(super) fn stable(&self, text: &str) -> String {
        if let Some(name) = self.messages.get(text) {
            return name.clone();
        }
        // In a path the number is percent-encoded.
        let text = text.replace("%2D", "-");
        if text.contains("ORD-") {
            return self.with_orders(&text);
        }
        let known = text.split([' ', ',']).find_map(|word| Some((word, self.messages.get(word)?)));
        known.map_or_else(|| text.clone(), |(id, name)| text.replace(id, name))
    }

    fn with_orders(&self, text: &str) -> String {
        let mut parts = text.split("ORD-");
        let mut stable = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            match (part.get(NUMBER_BYTES - 8..NUMBER_BYTES), part.get(NUMBER_BYTES..)) {
                (Some(suffix), Some(rest)) => {
                    stable.push_str(self.orders.get(suffix).map_or(suffix, String::as_str));
                    stable.push_str(rest);
                }
                _ => stable.push_str(part),
            }
        }
        stable
    }
}

/// What a customer calls its order by.
pub(super) fn idempotency_key(customer: u32) -> String {
    format!("key-{customer}")
}

#[cfg(test)]
mod tests {
    use bus::{MessageId, MessageKey};

    use super::*;
    use crate::broker::Model;
    use crate::orders::Profile;

    #[test]
    fn an_order_is_called_by_its_customer_and_a_message_by_its_order() {
        let plan = Plan::draw(7, Model::Sqs, Profile::Calm, 3);
        let mut names = Names::of(&plan);
        let drawn = Chance::new(7).bits("order number", "key-2") & 0xffff_ffff;
        let number = format!("ORD-20250831-160000-{drawn:08X}");
        assert_eq!(names.stable(&format!("GET /api/orders/{number}")), "GET /api/orders/order 2");
        let encoded = number.replace('-', "%2D");
        assert_eq!(
            names.stable(&format!("PUT /api/sync/order/{encoded}/result")),
            "PUT /api/sync/order/order 2/result"
        );
        for id in ["one", "two"] {
            let message = Message::new(MessageId::parse(id).unwrap(), &b""[..]);
            names.learn(&message.with_key(MessageKey::new(&number).unwrap()));
        }
        assert_eq!(names.stable("two"), "message 2 of order 2");
        assert_eq!(names.stable("message two waits"), "message message 2 of order 2 waits");
        assert_eq!(names.stable("write of consumer"), "write of consumer");
    }
}
