use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bus::{Delivery, ExtendOutcome, Receiver, Result, SettleOutcome, Settlement, SubscribeOptions, Token, Unsettled};
use tokio_util::sync::CancellationToken;

use super::convert::{decode, raw};
use super::error::{closed, told};
use super::settle::Hand;

/// Hands out deliveries of one queue.
pub(crate) struct ToyReceiver {
    hand: Arc<Hand>,
    prefetch_count_max: usize,
    lease: Duration,
    stopping: CancellationToken,
}

impl ToyReceiver {
    /// `options` are checked, and name a lease.
    pub(crate) fn new(hand: Hand, options: SubscribeOptions, lease: Duration) -> Self {
        let SubscribeOptions { prefetch_count_max, .. } = options;
        Self { hand: Arc::new(hand), prefetch_count_max, lease, stopping: CancellationToken::new() }
    }
}

#[async_trait]
impl Receiver for ToyReceiver {
    async fn receive(&self, max: usize, into: &mut Vec<Delivery>) -> Result<()> {
        let (hand, destination) = (&self.hand, self.hand.subscription.destination());
        let count_before = into.len();
        while into.len() == count_before {
            let changed = hand.changed.notified();
            let (held_count, next) = hand.count();
            let room = self.prefetch_count_max.saturating_sub(held_count).min(max);
            let taken = tokio::select! {
                biased;
                () = self.stopping.cancelled() => return Err(closed("receive")),
                taken = hand.broker.take(destination.as_str(), room, self.lease), if room > 0 => taken,
                () = changed => continue,
                () = hand.seams.clock.sleep_until(next.unwrap_or_default()), if next.is_some() => continue,
            };
            // From the broker's hand into the caller's without an `await`: nobody can drop the call between.
            for taken in taken.map_err(|fault| told(&fault, "receive", destination))? {
                match decode(taken.receipt.slot, &taken.frame) {
                    Ok(message) => into.push(hand.take_up(&taken, message, self.lease)),
                    Err(reason) => {
                        let message = raw(taken.receipt.slot, taken.frame);
                        // What cannot be buried comes again when its lease ends; the next one flows.
                        let _ = hand.bury(taken.receipt, message, taken.receive_count, &reason);
                    }
                }
            }
        }
        Ok(())
    }

    async fn settle(&self, batch: Vec<Settlement>) -> Vec<SettleOutcome> {
        batch.into_iter().map(|settlement| self.hand.settle(settlement)).collect()
    }

    async fn extend(&self, tokens: &[Token], by: Duration) -> Vec<ExtendOutcome> {
        tokens.iter().map(|token| self.hand.extend(*token, by)).collect()
    }

    async fn release(&self, unstarted: Vec<Unsettled>) {
        for unsettled in unstarted {
            self.hand.put_back(unsettled.discharge(), false);
        }
    }

    async fn lost(&self) -> Vec<Token> {
        self.hand.lost().await
    }

    fn stop(&self) {
        self.stopping.cancel();
    }

    async fn close(&self) {
        self.stop();
        self.hand.close();
    }
}

impl Drop for ToyReceiver {
    fn drop(&mut self) {
        self.hand.close();
    }
}
