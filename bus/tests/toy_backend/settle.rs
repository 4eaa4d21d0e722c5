use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bus::dead_letter::{self, Rejection};
use bus::{
    Delivery, ExtendOutcome, Lease, Message, Moment, Returns, Seams, SettleOutcome, Settlement, Subscription, Token,
    Verdict,
};
use tokio::sync::Notify;

use super::broker::{Broker, Fault, Taken};
use super::config::DELAY_MAX;
use super::convert::encode;
use super::error::{told, unsupported};

/// What one receiver has in its hand.
pub(crate) struct Hand {
    pub(crate) broker: Arc<Broker>,
    pub(crate) subscription: Subscription,
    pub(crate) seams: Seams,
    /// Something was taken, settled, extended or lost.
    pub(crate) changed: Notify,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    held: BTreeMap<Token, Held>,
    /// Known to be lost, and not yet told.
    lost: Vec<Token>,
}

struct Held {
    /// A settlement comes without its message, and a reject needs it.
    message: Message,
    receive_count: u32,
    /// By our own clock: a broker may accept a late settlement and do nothing.
    deadline: Moment,
}

impl Hand {
    pub(crate) fn new(broker: Arc<Broker>, subscription: Subscription, seams: Seams) -> Self {
        Self { broker, subscription, seams, changed: Notify::new(), table: Mutex::default() }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        let now = self.seams.clock.now();
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let Table { held, lost } = &mut *table;
        lost.extend(held.extract_if(.., |_, held| held.deadline <= now).map(|(token, _)| token));
        table
    }

    fn queue(&self) -> &str {
        self.subscription.destination().as_str()
    }

    /// How many are held, and when the first lease ends.
    pub(crate) fn count(&self) -> (usize, Option<Moment>) {
        let table = self.table();
        (table.held.len(), table.held.values().map(|held| held.deadline).min())
    }

    /// A delivery of what was just taken.
    pub(crate) fn take_up(self: &Arc<Self>, taken: &Taken, message: Message, lease: Duration) -> Delivery {
        let Taken { receipt: token, receive_count, .. } = *taken;
        let deadline = self.seams.clock.now() + lease;
        self.table().held.insert(token, Held { message: message.clone(), receive_count, deadline });
        self.changed.notify_waiters();
        let lease = Lease { deadline: Some(deadline) };
        Delivery::new(message, token, lease, Some(receive_count), Arc::clone(self) as _)
    }

    /// Removes what is still held.
    fn let_go(&self, token: Token) -> Option<Held> {
        let held = self.table().held.remove(&token);
        self.changed.notify_waiters();
        held
    }

    pub(crate) fn settle(&self, settlement: Settlement) -> SettleOutcome {
        let (token, verdict) = settlement.into_parts();
        let is_ours = self.table().held.contains_key(&token);
        if is_ours && matches!(verdict, Verdict::Nack { after } if after > DELAY_MAX) {
            // It stays ours: coming back earlier than asked for would be a promise broken in silence.
            return SettleOutcome::Failed(unsupported("settle", format!("the longest nack delay is {DELAY_MAX:?}")));
        }
        let Some(held) = self.let_go(token) else { return SettleOutcome::LeaseLost };
        let answer = match verdict {
            Verdict::Ack => self.broker.delete(self.queue(), token),
            Verdict::Nack { after } => self.broker.show(self.queue(), token, after, true),
            Verdict::Reject { reason } => return self.bury(token, held.message, held.receive_count, &reason),
        };
        self.answered(answer)
    }

    fn answered(&self, answer: Result<(), Fault>) -> SettleOutcome {
        match answer {
            Ok(()) => SettleOutcome::Settled,
            Err(Fault::StaleReceipt) => SettleOutcome::LeaseLost,
            Err(fault) => SettleOutcome::Failed(told(&fault, "settle", self.subscription.destination())),
        }
    }

    /// To the dead letters first, and only then away: killed in between it is there twice.
    pub(crate) fn bury(&self, token: Token, mut message: Message, receive_count: u32, reason: &str) -> SettleOutcome {
        let Ok(dead_letters) = self.subscription.destination().dead_letters() else {
            return SettleOutcome::Failed(unsupported("settle", "the name of the dead letters would be too long"));
        };
        let (subscription, at) = (&self.subscription, self.seams.clock.wall());
        dead_letter::mark(&mut message, &Rejection { subscription, reason, receive_count: Some(receive_count), at });
        match self.broker.put(dead_letters.as_str(), encode(&message), Duration::ZERO) {
            Ok(_) => self.answered(self.broker.delete(self.queue(), token)),
            Err(_) => SettleOutcome::Failed(unsupported("settle", "dead letters have no dead letters of their own")),
        }
    }

    pub(crate) fn extend(&self, token: Token, by: Duration) -> ExtendOutcome {
        let deadline = self.seams.clock.now() + by;
        let mut table = self.table();
        let Some(held) = table.held.get_mut(&token) else { return ExtendOutcome::LeaseLost };
        match self.broker.hide(self.queue(), token, by) {
            Ok(()) => held.deadline = deadline,
            Err(Fault::StaleReceipt) => return ExtendOutcome::LeaseLost,
            Err(fault) => return ExtendOutcome::Failed(told(&fault, "extend", self.subscription.destination())),
        }
        self.changed.notify_waiters();
        ExtendOutcome::Until(deadline)
    }

    /// Shows again at once what is still held, counted as received or not.
    pub(crate) fn put_back(&self, token: Token, counts: bool) {
        if self.let_go(token).is_some() {
            // A stale receipt means that it is visible already.
            let _ = self.broker.show(self.queue(), token, Duration::ZERO, counts);
        }
    }

    pub(crate) async fn lost(&self) -> Vec<Token> {
        loop {
            let changed = self.changed.notified();
            let (_, next) = self.count();
            let lost = std::mem::take(&mut self.table().lost);
            if !lost.is_empty() {
                return lost;
            }
            tokio::select! {
                biased;
                () = changed => {}
                () = self.seams.clock.sleep_until(next.unwrap_or_default()), if next.is_some() => {}
            }
        }
    }

    /// Gives back everything, and tells whoever works on it.
    pub(crate) fn close(&self) {
        let held: Vec<Token> = self.table().held.keys().copied().collect();
        for token in &held {
            self.put_back(*token, true);
        }
        self.table().lost.extend(held);
        self.changed.notify_waiters();
    }
}

impl Returns for Hand {
    fn give_back(&self, token: Token) {
        // Memory only. A call over a network has no place in a destructor: it goes on a list.
        self.put_back(token, true);
    }
}
