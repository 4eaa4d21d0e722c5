//! One receiver of a member.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bus::{
    Delivery, Error, ErrorKind, ExtendOutcome, Lease, Receiver, Result, Returns, SettleOutcome, Settlement, Token,
    Unsettled,
};

use crate::member::Member;
use crate::names::Names;
use crate::{convert, settle};

/// What a receiver and its deliveries share.
pub(crate) struct Consumer {
    pub(crate) member: Arc<Member>,
    pub(crate) reader: u64,
    is_stopped: AtomicBool,
    /// What was in hand when it ended.
    lost: Mutex<Vec<Token>>,
    names: Mutex<Names>,
}

impl Consumer {
    pub(crate) fn open(member: Arc<Member>, reader: u64) -> Arc<Self> {
        Arc::new(Self {
            member,
            reader,
            is_stopped: AtomicBool::new(false),
            lost: Mutex::default(),
            names: Mutex::default(),
        })
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::Acquire) || self.member.shared.closing.is_cancelled()
    }

    pub(crate) fn stop_now(&self) {
        self.is_stopped.store(true, Ordering::Release);
        if let Some(reader) = self.member.hand().reader(self.reader) {
            reader.is_stopped = true;
        }
        self.member.changed.notify_waiters();
    }

    /// Gives back what is in hand and leaves the member.
    pub(crate) fn part(&self) {
        self.stop_now();
        let lost = self.member.part(self.reader);
        self.lost.lock().unwrap_or_else(PoisonError::into_inner).extend(lost);
        self.member.changed.notify_waiters();
        self.member.lost.notify_waiters();
    }

    fn hand_out(self: &Arc<Self>, max: usize, into: &mut Vec<Delivery>) -> bool {
        let out = {
            let now = self.member.now();
            self.member.hand().hand_out(self.reader, max, now)
        };
        let is_some = !out.is_empty();
        let mut names = self.names();
        for out in out {
            let message = convert::read(&out.record, &self.member.origin(out.place), &mut names).message;
            let returns = Arc::clone(self) as Arc<dyn Returns>;
            into.push(Delivery::new(message, out.token, Lease { deadline: None }, None, returns));
        }
        is_some
    }

    fn names(&self) -> MutexGuard<'_, Names> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Returns for Consumer {
    fn give_back(&self, token: Token) {
        self.member.hand().give_back(self.reader, token, None);
        self.member.moved();
    }
}

/// The receiver handed to consumers. Dropped, it gives back what it has.
pub(crate) struct KafkaReceiver(pub(crate) Arc<Consumer>);

#[async_trait]
impl Receiver for KafkaReceiver {
    async fn receive(&self, max: usize, into: &mut Vec<Delivery>) -> Result<()> {
        let (consumer, member) = (&self.0, &self.0.member);
        if max == 0 {
            return Ok(());
        }
        loop {
            // Made before the look, so that nothing between the look and the wait is missed.
            let changed = member.changed.notified();
            if consumer.is_stopped() {
                return Err(Error::new(ErrorKind::Closed, "receive", "this receiver was stopped"));
            }
            // Before anything more is handed out: effects of a refused member would go to another store.
            if member.is_leaving() {
                let left = Error::new(ErrorKind::Closed, "receive", "this member has left its group for good");
                return Err(match member.take_failure() {
                    Some(refusal) => left.caused_by(refusal),
                    None => left,
                });
            }
            if consumer.hand_out(max, into) {
                member.moved_out();
                return Ok(());
            }
            if let Some(failure) = member.take_failure() {
                return Err(failure);
            }
            let due = member.hand().next_due();
            tokio::select! {
                biased;
                () = changed => {}
                () = member.shared.closing.cancelled() => {}
                () = member.shared.seams.clock.sleep_until(due.unwrap_or_default()), if due.is_some() => {}
            }
        }
    }

    async fn settle(&self, batch: Vec<Settlement>) -> Vec<SettleOutcome> {
        settle::settle(&self.0, batch).await
    }

    async fn extend(&self, tokens: &[Token], _: Duration) -> Vec<ExtendOutcome> {
        let hand = self.0.member.hand();
        let answer = |token: &Token| match hand.record(self.0.reader, *token) {
            None => ExtendOutcome::LeaseLost,
            Some(_) => {
                let text =
                    "a delivery is ours until it is settled or its partition is taken away; nothing extends that";
                ExtendOutcome::Failed(Error::new(ErrorKind::Unsupported, "extend", text))
            }
        };
        tokens.iter().map(answer).collect()
    }

    async fn release(&self, unstarted: Vec<Unsettled>) {
        {
            let mut hand = self.0.member.hand();
            for duty in unstarted {
                hand.give_back(self.0.reader, duty.discharge(), None);
            }
        }
        self.0.member.moved();
    }

    async fn lost(&self) -> Vec<Token> {
        let (consumer, member) = (&self.0, &self.0.member);
        loop {
            let more = member.lost.notified();
            let mut lost = std::mem::take(&mut *consumer.lost.lock().unwrap_or_else(PoisonError::into_inner));
            if let Some(reader) = member.hand().reader(consumer.reader) {
                lost.append(&mut reader.lost);
            }
            if !lost.is_empty() {
                return lost;
            }
            more.await;
        }
    }

    fn stop(&self) {
        self.0.stop_now();
    }

    async fn close(&self) {
        self.0.part();
        if self.0.member.is_leaving() {
            self.0.member.ended().await;
        }
    }
}

impl Drop for KafkaReceiver {
    fn drop(&mut self) {
        self.0.part();
    }
}
