//! What the producer puts into its outbox.

use bus::{Destination, Message, MessageId, Outgoing, TraceContext};
use serde::Serialize;

use crate::domain::Order;
use crate::wire::{OrderMessage, SyncEvent};

use super::Producer;

impl Producer {
    /// The order itself, for the consumer to process.
    pub(super) fn order_message(&self, order: &Order) -> Outgoing {
        let message_id = self.seams.message_id(order.order_number.as_str());
        let body = OrderMessage::of(order, &message_id, &self.settings.time_zone);
        outgoing(&self.settings.order_queue, message_id, order, &body)
    }

    /// The event that tells of a new or changed order.
    pub(super) fn order_updated(&self, order: &Order) -> Outgoing {
        let message_id = self.seams.message_id(order.order_number.as_str());
        let body = SyncEvent::order_updated(order, &message_id, &self.settings.time_zone);
        outgoing(&self.settings.sync_queue, message_id, order, &body)
    }
}

fn outgoing(queue: &Destination, message_id: MessageId, order: &Order, body: &impl Serialize) -> Outgoing {
    let mut message = Message::new(message_id, crate::store::encode(body))
        .with_key(order.order_number.key())
        .with_content_type("application/json");
    // The relay publishes it long after the request: the trace has to be in the row.
    if let Some(context) = TraceContext::current() {
        context.write_to(message.headers_mut());
    }
    Outgoing::new(queue.clone(), message)
}
