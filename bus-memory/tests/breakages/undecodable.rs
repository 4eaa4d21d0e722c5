//! A bus that cannot read foreign messages, and broken ways to deal with them.

use std::sync::Arc;

use async_trait::async_trait;
use bus::layer::{Layer, ReceiverLayer, layered_receiver};
use bus::{Bus, Delivery, Message, Receiver, Result, SettleOutcome, Settlement, SubscribeOptions, Subscription};

use crate::breakage::Breakage;
use crate::forged::Forgery;
use crate::layers::{HandsOut, Receivers};

breakages! {
    an_undecodable_message_handed_out
        breaks an_undecodable_message_goes_to_the_dead_letters_with_its_bytes_and_the_next_one_flows
        by Breakage::unlayered().instead_of(quarantine);
    an_undecodable_message_thrown_away
        breaks an_undecodable_message_goes_to_the_dead_letters_with_its_bytes_and_the_next_one_flows
        by Breakage::by(|| Quarantine(Delivery::ack)).instead_of(quarantine);
    an_undecodable_message_that_blocks_the_queue
        breaks an_undecodable_message_goes_to_the_dead_letters_with_its_bytes_and_the_next_one_flows
        by Breakage::by(|| Receivers(|| Stumbles)).instead_of(quarantine);
    an_undecodable_message_quarantined_as_text
        breaks an_undecodable_message_goes_to_the_dead_letters_with_its_bytes_and_the_next_one_flows
        by Breakage::by(quarantine).instead_of(quarantine).within(|| Receivers(|| HandsOut(as_text)));
}

/// As every backend does.
fn quarantine() -> Quarantine {
    Quarantine(|delivery| delivery.reject("no message of ours"))
}

fn as_text(forgery: &mut Forgery) {
    let text = String::from_utf8_lossy(forgery.message.body()).into_owned();
    forgery.message = Message::new(forgery.message.id().clone(), text).with_headers(forgery.message.headers().clone());
}

/// Settles foreign messages like this and hands out the others. The dead letters are read as they are.
#[derive(Clone, Debug)]
struct Quarantine(fn(Delivery) -> Settlement);

#[async_trait]
impl Layer for Quarantine {
    async fn subscribe(
        &self,
        subscription: &Subscription,
        options: SubscribeOptions,
        next: &dyn Bus,
    ) -> Result<Arc<dyn Receiver>> {
        let receiver = next.subscribe(subscription, options).await?;
        let is_grave = subscription.destination().as_str().ends_with("-dlq");
        Ok(if is_grave { receiver } else { layered_receiver(receiver, self.clone()) })
    }
}

#[async_trait]
impl ReceiverLayer for Quarantine {
    async fn receive(&self, max: usize, into: &mut Vec<Delivery>, next: &dyn Receiver) -> Result<()> {
        let before = into.len();
        while into.len() == before {
            let mut received = Vec::new();
            next.receive(max, &mut received).await?;
            for delivery in received {
                if delivery.message().is_foreign() {
                    let outcomes = next.settle(vec![(self.0)(delivery)]).await;
                    assert!(outcomes.iter().all(SettleOutcome::is_settled), "{outcomes:?}");
                } else {
                    into.push(delivery);
                }
            }
        }
        Ok(())
    }
}

/// Stops for ever at the first foreign message.
struct Stumbles;

#[async_trait]
impl ReceiverLayer for Stumbles {
    async fn receive(&self, _: usize, into: &mut Vec<Delivery>, next: &dyn Receiver) -> Result<()> {
        next.receive(1, into).await?;
        match into.pop_if(|delivery| delivery.message().is_foreign()) {
            Some(_held) => std::future::pending().await,
            None => Ok(()),
        }
    }
}
