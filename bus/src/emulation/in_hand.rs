//! The messages behind the tokens: what a receiver handed out and nobody has settled.
//!
//! Bounded by the prefetch of the receiver, because every way a delivery can end is seen here:
//! settled, released, lost, dropped.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustc_hash::FxHashMap;

use crate::{Clock, Delivery, ExtendOutcome, Message, Moment, Returns, Token};

/// What is known of one delivery in hand.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) message: Message,
    pub(super) receive_count: Option<u32>,
    /// When the lease ends, where there is one.
    pub(super) deadline: Option<Moment>,
    /// When the lease began, at the latest.
    pub(super) since: Moment,
}

impl Known {
    /// Whether the lease is over: the delivery is no longer ours.
    pub(super) fn is_over(&self, now: Moment) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= now)
    }
}

/// The deliveries in the hands of one receiver's user. Looked up by token, never iterated.
#[derive(Debug)]
pub(super) struct InHand {
    clock: Arc<dyn Clock>,
    /// Length of a fresh lease, where there is one.
    lease: Option<Duration>,
    known: Mutex<FxHashMap<Token, Known>>,
}

impl InHand {
    pub(super) fn new(clock: Arc<dyn Clock>, lease: Option<Duration>) -> Arc<Self> {
        Arc::new(Self { clock, lease, known: Mutex::default() })
    }

    /// Remembers deliveries that are about to be handed out, until they end.
    pub(super) fn hand_out(self: &Arc<Self>, deliveries: &mut [Delivery]) {
        let now = self.clock.now();
        let mut known = self.known();
        for delivery in deliveries {
            let deadline = delivery.lease().deadline;
            let elapsed = deadline.zip(self.lease).map(|(deadline, lease)| lease.saturating_sub(deadline.since(now)));
            let since = now.since_origin().saturating_sub(elapsed.unwrap_or_default());
            let entry = Known {
                message: delivery.message().clone(),
                receive_count: delivery.receive_count(),
                deadline,
                since: Moment::from_origin(since),
            };
            known.insert(delivery.token(), entry);
            delivery.returned_through(|returns| Arc::new(Watched { in_hand: Arc::clone(self), returns }));
        }
    }

    /// The delivery ends: what was known of it.
    pub(super) fn take(&self, token: Token) -> Option<Known> {
        self.known().remove(&token)
    }

    /// These deliveries end.
    pub(super) fn forget(&self, tokens: impl IntoIterator<Item = Token>) {
        let mut known = self.known();
        for token in tokens {
            known.remove(&token);
        }
    }

    /// All deliveries end.
    pub(super) fn forget_all(&self) {
        self.known().clear();
    }

    /// What an extension changed.
    pub(super) fn extended(&self, tokens: &[Token], outcomes: &[ExtendOutcome]) {
        let mut known = self.known();
        for (token, outcome) in tokens.iter().zip(outcomes) {
            match outcome {
                ExtendOutcome::Until(deadline) => {
                    if let Some(entry) = known.get_mut(token) {
                        entry.deadline = Some(*deadline);
                    }
                }
                ExtendOutcome::LeaseLost => {
                    known.remove(token);
                }
                ExtendOutcome::Capped | ExtendOutcome::Failed(_) => {}
            }
        }
    }

    /// How many deliveries are in hand.
    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.known().len()
    }

    fn known(&self) -> MutexGuard<'_, FxHashMap<Token, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sees a delivery dropped on its way back to the bus.
struct Watched {
    in_hand: Arc<InHand>,
    returns: Arc<dyn Returns>,
}

impl Returns for Watched {
    fn give_back(&self, token: Token) {
        self.in_hand.forget([token]);
        self.returns.give_back(token);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Lease, MessageId, Seams};

    /// Counts what came back.
    #[derive(Default)]
    struct Back(Mutex<usize>);

    impl Returns for Back {
        fn give_back(&self, _: Token) {
            *self.0.lock().unwrap() += 1;
        }
    }

    fn delivery(number: u64, back: &Arc<Back>) -> Delivery {
        let message = Message::new(MessageId::parse("m").unwrap(), &b"body"[..]);
        let token = Token { slot: number % 4, epoch: number };
        Delivery::new(message, token, Lease { deadline: None }, None, Arc::clone(back) as _)
    }

    #[tokio::test(start_paused = true)]
    async fn ten_thousand_dropped_deliveries_leave_nothing_behind() {
        let in_hand = InHand::new(Seams::system().clock, None);
        let back = Arc::new(Back::default());
        for number in 0..10_000 {
            let mut batch = [delivery(number, &back)];
            in_hand.hand_out(&mut batch);
            assert_eq!(in_hand.count(), 1);
        }
        assert_eq!((in_hand.count(), *back.0.lock().unwrap()), (0, 10_000), "each went back to the bus, once");
    }

    #[tokio::test(start_paused = true)]
    async fn a_delivery_that_ends_in_any_way_is_forgotten() {
        let in_hand = InHand::new(Seams::system().clock, None);
        let back = Arc::new(Back::default());
        let mut batch: Vec<Delivery> = (0..4).map(|number| delivery(number, &back)).collect();
        in_hand.hand_out(&mut batch);
        let tokens: Vec<Token> = batch.iter().map(Delivery::token).collect();
        assert!(in_hand.take(tokens[0]).is_some() && in_hand.take(tokens[0]).is_none());
        in_hand.forget([tokens[1]]);
        in_hand.extended(&[tokens[2]], &[ExtendOutcome::LeaseLost]);
        assert_eq!(in_hand.count(), 1);
        in_hand.forget_all();
        assert_eq!(in_hand.count(), 0);
    }
}
