//! Deliveries and settlements made by a layer instead of the bus.

use std::sync::{Arc, Mutex};

use bus::{Delivery, Lease, Message, MessageId, Returns, Settlement, Token, Unsettled, Verdict};

/// What a layer may forge of a delivery.
pub(crate) struct Forgery {
    pub(crate) message: Message,
    pub(crate) receive_count: Option<u32>,
    pub(crate) lease: Lease,
    /// Whether the bus hears of it when the delivery is dropped.
    pub(crate) returns: bool,
}

/// `delivery` as `change` makes it, under the same token.
pub(crate) fn forged(delivery: Delivery, change: impl FnOnce(&mut Forgery)) -> Delivery {
    let (receive_count, lease) = (delivery.receive_count(), delivery.lease());
    let (message, unsettled) = delivery.split();
    let mut forgery = Forgery { message, receive_count, lease, returns: true };
    change(&mut forgery);
    let token = unsettled.token();
    let held = Held { unsettled: Mutex::new(Some(unsettled)), returns: forgery.returns };
    Delivery::new(forgery.message, token, forgery.lease, forgery.receive_count, Arc::new(held))
}

/// The settlement of a delivery whose own was taken apart.
pub(crate) fn settlement(token: Token, verdict: Verdict) -> Settlement {
    let message = Message::new(MessageId::parse("forged").expect("a legal id"), "");
    let delivery = Delivery::new(message, token, Lease { deadline: None }, None, Arc::new(Nobody));
    match verdict {
        Verdict::Ack => delivery.ack(),
        Verdict::Nack { after } => delivery.nack(after),
        Verdict::Reject { reason } => delivery.reject(reason),
    }
}

/// Hears of no dropped delivery.
pub(crate) struct Nobody;

impl Returns for Nobody {
    fn give_back(&self, _: Token) {}
}

/// The duty to settle that stands behind a forged delivery: given back when that one is.
struct Held {
    unsettled: Mutex<Option<Unsettled>>,
    returns: bool,
}

impl Returns for Held {
    fn give_back(&self, _: Token) {
        let unsettled = self.unsettled.lock().expect("no panic").take();
        if let (Some(unsettled), false) = (unsettled, self.returns) {
            let _ = unsettled.discharge();
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // Settled by its token: there is nothing to give back.
        if let Some(unsettled) = self.unsettled.get_mut().expect("no panic").take() {
            let _ = unsettled.discharge();
        }
    }
}
