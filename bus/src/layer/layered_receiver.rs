//! A receiver with one layer around it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::ReceiverLayer;
use crate::{Delivery, ExtendOutcome, Receiver, Result, SettleOutcome, Settlement, Token, Unsettled};

/// `receiver` with `layer` around it.
pub fn layered_receiver(receiver: Arc<dyn Receiver>, layer: impl ReceiverLayer) -> Arc<dyn Receiver> {
    Arc::new(LayeredReceiver { next: receiver, layer })
}

struct LayeredReceiver<L> {
    next: Arc<dyn Receiver>,
    layer: L,
}

#[async_trait]
impl<L: ReceiverLayer> Receiver for LayeredReceiver<L> {
    async fn receive(&self, max: usize, into: &mut Vec<Delivery>) -> Result<()> {
        self.layer.receive(max, into, self.next.as_ref()).await
    }

    async fn settle(&self, batch: Vec<Settlement>) -> Vec<SettleOutcome> {
        self.layer.settle(batch, self.next.as_ref()).await
    }

    async fn extend(&self, tokens: &[Token], by: Duration) -> Vec<ExtendOutcome> {
        self.layer.extend(tokens, by, self.next.as_ref()).await
    }

    async fn release(&self, unstarted: Vec<Unsettled>) {
        self.layer.release(unstarted, self.next.as_ref()).await;
    }

    async fn lost(&self) -> Vec<Token> {
        self.layer.lost(self.next.as_ref()).await
    }

    fn stop(&self) {
        self.layer.stop(self.next.as_ref());
    }

    async fn close(&self) {
        self.layer.close(self.next.as_ref()).await;
    }
}
