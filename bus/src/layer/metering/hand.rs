//! The deliveries one receiver has handed out and not got back.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus_client::metrics::gauge::Gauge;
use rustc_hash::FxHashSet;

use crate::{Delivery, Returns, Token};

/// A set and not a number: a delivery can be lost and settled too late, or closed and then dropped,
/// and must end once.
#[derive(Debug)]
pub(super) struct Hand {
    tokens: Mutex<FxHashSet<Token>>,
    gauge: Gauge,
}

impl Hand {
    pub(super) fn counted_by(gauge: Gauge) -> Self {
        Self { tokens: Mutex::default(), gauge }
    }

    /// Takes deliveries in hand, and sees to it that a drop ends them.
    pub(super) fn take(self: &Arc<Self>, deliveries: &mut [Delivery]) {
        let mut tokens = self.lock();
        let before = tokens.len();
        tokens.extend(deliveries.iter().map(Delivery::token));
        let added = tokens.len() - before;
        drop(tokens);
        self.gauge.inc_by(signed(added));
        let mut known: Option<Arc<Watched>> = None;
        for delivery in deliveries {
            delivery.returned_through(|next| match &known {
                // Backends take back through one object per receiver, so one watches all.
                Some(watched) if std::ptr::addr_eq(Arc::as_ptr(&watched.next), Arc::as_ptr(&next)) => {
                    Arc::clone(watched) as _
                }
                _ => Arc::clone(known.insert(Arc::new(Watched { hand: Arc::clone(self), next }))) as _,
            });
        }
    }

    /// Ends deliveries; says of each whether it was still in hand.
    pub(super) fn end(&self, tokens: impl IntoIterator<Item = Token>) -> Vec<bool> {
        let mut held = self.lock();
        let was_held: Vec<bool> = tokens.into_iter().map(|token| held.remove(&token)).collect();
        drop(held);
        self.gauge.dec_by(signed(was_held.iter().filter(|was_held| **was_held).count()));
        was_held
    }

    /// Ends all that are left.
    pub(super) fn empty(&self) {
        let left = std::mem::take(&mut *self.lock());
        self.gauge.dec_by(signed(left.len()));
    }

    fn lock(&self) -> MutexGuard<'_, FxHashSet<Token>> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn signed(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Sees what is dropped on its way back to the backend.
struct Watched {
    hand: Arc<Hand>,
    next: Arc<dyn Returns>,
}

impl Returns for Watched {
    fn give_back(&self, token: Token) {
        self.hand.end([token]);
        self.next.give_back(token);
    }
}
