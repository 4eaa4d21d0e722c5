//! The receiving side.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bus::{
    ClockExt, Delivery, ErrorKind, ExtendOutcome, Receiver, Result, SettleOutcome, Settlement, Token, Unsettled,
};

use super::{Desk, Orders, Settling, error};

pub(super) struct Meddled {
    pub(super) inner: Arc<dyn Receiver>,
    pub(super) desk: Arc<Desk>,
}

impl Meddled {
    async fn dawdle(&self, span: Duration) {
        if !span.is_zero() {
            self.desk.seams.clock.sleep(span).await;
        }
    }

    /// The answer that was ordered for a settlement, and whose it is.
    fn ordered(&self, token: Token) -> (String, Option<Settling>) {
        let mut orders = self.desk.orders();
        let Orders { names, settlings, .. } = &mut *orders;
        let name = names.get(&token).cloned().expect("only what was received is settled");
        let settling = settlings.get_mut(&name).and_then(std::collections::VecDeque::pop_front);
        (name, settling)
    }

    fn may_extend(&self, token: Token) -> bool {
        let mut orders = self.desk.orders();
        let Orders { names, unextendable, .. } = &mut *orders;
        let Some(left) = names.get(&token).and_then(|name| unextendable.get_mut(name)) else { return true };
        let may = *left == 0;
        *left = left.saturating_sub(1);
        may
    }
}

#[async_trait]
impl Receiver for Meddled {
    async fn receive(&self, max: usize, into: &mut Vec<Delivery>) -> Result<()> {
        self.desk.enter("receive").await;
        let (fault, takes) = {
            let orders = self.desk.orders();
            (orders.receive_error, orders.receive_takes)
        };
        if let Some(kind) = fault {
            self.dawdle(takes).await;
            return Err(error(kind, "receive"));
        }
        let result = self.inner.receive(max, into).await;
        let named = into.iter().map(|delivery| (delivery.token(), delivery.message().id().to_string()));
        self.desk.orders().names.extend(named);
        self.dawdle(takes).await;
        result
    }

    async fn settle(&self, batch: Vec<Settlement>) -> Vec<SettleOutcome> {
        self.desk.enter("settle").await;
        let mut passed = Vec::new();
        let mut names = Vec::new();
        let mut answers: Vec<Option<SettleOutcome>> = Vec::new();
        for settlement in batch {
            let (name, settling) = self.ordered(settlement.token());
            names.push(name);
            answers.push(settling.map(|settling| match settling {
                Settling::LeaseLost => SettleOutcome::LeaseLost,
                Settling::Failed => SettleOutcome::Failed(error(ErrorKind::Unavailable, "settle")),
            }));
            if settling.is_some() {
                let _ = settlement.into_parts();
            } else {
                passed.push(settlement);
            }
        }
        let mut through = self.inner.settle(passed).await.into_iter();
        let takes = self.desk.orders().settle_takes;
        self.dawdle(takes).await;
        let now = self.desk.elapsed();
        self.desk.orders().settled.extend(names.into_iter().map(|name| (now, name)));
        answers.into_iter().filter_map(|answer| answer.or_else(|| through.next())).collect()
    }

    async fn extend(&self, tokens: &[Token], by: Duration) -> Vec<ExtendOutcome> {
        self.desk.enter("extend").await;
        let mut outcomes = Vec::new();
        for token in tokens {
            if self.may_extend(*token) {
                outcomes.extend(self.inner.extend(&[*token], by).await);
            } else {
                outcomes.push(ExtendOutcome::Failed(error(ErrorKind::Timeout, "extend")));
            }
        }
        outcomes
    }

    async fn release(&self, unstarted: Vec<Unsettled>) {
        self.desk.enter("release").await;
        let takes = self.desk.orders().release_takes;
        self.dawdle(takes).await;
        self.inner.release(unstarted).await;
    }

    async fn lost(&self) -> Vec<Token> {
        self.inner.lost().await
    }

    fn stop(&self) {
        self.inner.stop();
    }

    async fn close(&self) {
        self.desk.enter("close").await;
        self.inner.close().await;
    }
}
