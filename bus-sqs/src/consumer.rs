//! One receiver: polls that feed a buffer, and the deliveries in hand.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bus::pipeline::Backoff;
use bus::{
    Delivery, Error, ErrorKind, ExtendOutcome, Moment, Receiver, Result, Returns, SettleOutcome, Settlement,
    SubscribeOptions, Subscription, Token, Unsettled,
};
use tokio::sync::Notify;

use crate::batcher::{Answers, Batcher, Limits};
use crate::config::WIRE_BYTES_MAX;
use crate::delete::{ChangeVisibility, Delete, Till};
use crate::poll::{self, PollPlace};
use crate::queues::Queue;
use crate::shared::Shared;
use crate::table::{Held, Table};

/// Calls under way to delete or to change visibility; entries gather behind them.
const CONCURRENCY_MAX: usize = 4;
/// Pauses between polls that fail.
const POLL_RETRY: Backoff = Backoff { first: Duration::from_millis(200), max: Duration::from_secs(10) };

/// What receiver, polls and dropped deliveries share.
pub(crate) struct Consumer {
    pub(crate) shared: Arc<Shared>,
    pub(crate) subscription: Subscription,
    pub(crate) queue: Arc<Queue>,
    /// The lease asked for, in place of the queue's own.
    lease: Option<Duration>,
    prefetch_count_max: usize,
    pub(crate) deletes: Batcher<Delete>,
    pub(crate) visibility: Batcher<ChangeVisibility>,
    pub(crate) state: Mutex<State>,
    /// Something was received, or there is room, or it was stopped.
    pub(crate) changed: Notify,
    /// A lease began or ended, so the next end may be another.
    pub(crate) leases_changed: Notify,
}

/// Behind one lock, which is never held over I/O.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) table: Table,
    /// Received and not handed out.
    pub(crate) buffer: VecDeque<Delivery>,
    /// Polls under way, and what they may bring.
    pub(crate) poll_count: usize,
    pub(crate) polled_count: usize,
    /// How many polls to keep under way: doubled by a full one, one again after any other.
    pub(crate) poll_count_wanted: usize,
    pub(crate) failure_count: u32,
    pub(crate) failure: Option<Error>,
    pub(crate) next_poll_at: Option<Moment>,
    pub(crate) is_stopped: bool,
}

impl State {
    /// Takes out a delivery that goes back, and with it, on FIFO queues, what is buffered behind it of
    /// its key, which would overtake it. Under one lock: a receive in between would hand that out.
    ///
    /// The followers are to be dropped once the delivery itself is on its way, and outside the lock.
    pub(crate) fn take_back(&mut self, token: Token, now: Moment, is_fifo: bool) -> Option<(Held, Vec<Delivery>)> {
        let held = self.table.take(token, now)?;
        let (true, Some(key)) = (is_fifo, held.message.key()) else { return Some((held, Vec::new())) };
        let is_behind = |delivery: &Delivery| delivery.message().key() == Some(key);
        let (followers, kept): (VecDeque<_>, VecDeque<_>) =
            std::mem::take(&mut self.buffer).into_iter().partition(is_behind);
        self.buffer = kept;
        Some((held, followers.into()))
    }
}

impl Consumer {
    pub(crate) fn open(
        shared: Arc<Shared>,
        subscription: Subscription,
        queue: Arc<Queue>,
        options: SubscribeOptions,
    ) -> Arc<Self> {
        let till = Till {
            client: shared.clients.calls.clone(),
            queue: Arc::clone(&queue),
            traffic: Arc::clone(&shared.traffic),
            seams: shared.seams.clone(),
        };
        // One call after the other on FIFO queues: what goes back must go back in order.
        let concurrency_max = if shared.options.fifo { 1 } else { CONCURRENCY_MAX };
        let limits = Limits { bytes_max: WIRE_BYTES_MAX, concurrency_max };
        let (tasks, closing) = (&shared.tasks, &shared.settling);
        let deletes = Batcher::start(Arc::new(Delete(till.clone())), limits, tasks, closing.clone());
        let visibility = Batcher::start(Arc::new(ChangeVisibility(till)), limits, tasks, closing.clone());
        Arc::new(Self {
            subscription,
            queue,
            lease: options.lease,
            prefetch_count_max: options.prefetch_count_max,
            deletes,
            visibility,
            state: Mutex::default(),
            changed: Notify::new(),
            leases_changed: Notify::new(),
            shared,
        })
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long a delivery is ours when it is handed out.
    pub(crate) fn lease(&self) -> Duration {
        self.lease.unwrap_or(self.queue.lease)
    }

    pub(crate) fn now(&self) -> Moment {
        self.shared.seams.clock.now()
    }

    /// Hands out what is buffered and still ours.
    fn hand_out(&self, max: usize, into: &mut Vec<Delivery>) -> bool {
        let now = self.now();
        let mut stale = Vec::new();
        let before = into.len();
        {
            let mut state = self.state();
            while into.len() - before < max
                && let Some(delivery) = state.buffer.pop_front()
            {
                // It may have waited here past its lease.
                if state.table.get(delivery.token(), now).is_some() {
                    into.push(delivery);
                } else {
                    stale.push(delivery);
                }
            }
        }
        for delivery in stale {
            delivery.split().1.discharge();
        }
        into.len() > before
    }

    /// Puts as many polls under way as are wanted and there is room for.
    fn keep_polling(self: &Arc<Self>, wanted: usize) {
        let now = self.now();
        let mut state = self.state();
        state.table.expire(now);
        if state.is_stopped || self.shared.closing.is_cancelled() || state.next_poll_at.is_some_and(|at| now < at) {
            return;
        }
        let poll_count_max = state.poll_count_wanted.clamp(1, self.shared.options.poll_count_max);
        let mut missing = wanted.saturating_sub(state.buffer.len() + state.polled_count);
        while missing > 0 && state.poll_count < poll_count_max {
            let room = self.prefetch_count_max.saturating_sub(state.table.count() + state.polled_count);
            let count = room.min(poll::COUNT_MAX);
            if count == 0 {
                return;
            }
            state.poll_count += 1;
            state.polled_count += count;
            missing = missing.saturating_sub(count);
            // Made here, so that a poll that never runs is accounted for as well.
            let place = PollPlace::taken(self, count);
            self.shared.polls.spawn(poll::poll(Arc::clone(self), place));
        }
    }

    /// A poll failed: the next one waits, and whoever receives hears of it.
    pub(crate) fn poll_failed(&self, error: Error) {
        self.poll_later();
        self.state().failure = Some(error);
    }

    /// The next poll waits, longer each time until one is answered.
    pub(crate) fn poll_later(&self) {
        let now = self.now();
        let mut state = self.state();
        state.failure_count = state.failure_count.saturating_add(1);
        state.poll_count_wanted = 1;
        let entropy = self.shared.seams.entropy.as_ref();
        let pause = POLL_RETRY.delay(state.failure_count, entropy, "sqs poll", &self.subscription.to_string());
        state.next_poll_at = Some(now + pause);
    }

    /// Makes a delivery visible again after `seconds`, without waiting for the answer.
    pub(crate) fn put_back(&self, receipt: String, seconds: i32) {
        drop(self.visibility.submit([(receipt, seconds)]));
    }

    /// Deletes what was received and not handed out.
    pub(crate) async fn purge_buffer(&self) {
        let now = self.now();
        let receipts: Vec<(String, Moment)> = {
            let mut state = self.state();
            let buffered: Vec<Token> = state.buffer.drain(..).map(|delivery| delivery.split().1.discharge()).collect();
            let held = buffered.into_iter().filter_map(|token| state.table.take(token, now));
            held.map(|held| (held.receipt, held.deadline)).collect()
        };
        // What fails comes again when its lease ends, as if it had been published meanwhile.
        let _ = self.deletes.submit(receipts).all().await;
    }

    pub(crate) fn stop_now(&self) {
        let buffered = {
            let mut state = self.state();
            state.is_stopped = true;
            std::mem::take(&mut state.buffer)
        };
        drop(buffered);
        self.changed.notify_waiters();
    }

    /// Gives back everything that is unsettled; it counts as lost.
    pub(crate) fn give_up_all(&self) -> Answers<Result<()>> {
        let held = self.state().table.take_all();
        self.leases_changed.notify_waiters();
        self.visibility.submit(held.into_iter().map(|held| (held.receipt, 0)))
    }
}

impl Returns for Consumer {
    fn give_back(&self, token: Token) {
        let now = self.now();
        let taken = self.state().take_back(token, now, self.shared.options.fifo);
        if let Some((held, followers)) = taken {
            self.put_back(held.receipt, 0);
            drop(followers);
            self.changed.notify_waiters();
        }
    }
}

/// The receiver handed to consumers. Dropped, it gives back what it has.
pub(crate) struct SqsReceiver(pub(crate) Arc<Consumer>);

#[async_trait]
impl Receiver for SqsReceiver {
    async fn receive(&self, max: usize, into: &mut Vec<Delivery>) -> Result<()> {
        let consumer = &self.0;
        if max == 0 {
            return Ok(());
        }
        loop {
            // Made before the look, so that nothing between the look and the wait is missed.
            let changed = consumer.changed.notified();
            let is_received = consumer.hand_out(max, into);
            let (is_stopped, failure, next_poll_at) = {
                let mut state = consumer.state();
                let failure = if is_received { None } else { state.failure.take() };
                (state.is_stopped, failure, state.next_poll_at)
            };
            if is_received {
                // Read ahead while messages flow.
                if consumer.state().poll_count_wanted > 1 {
                    consumer.keep_polling(max);
                }
                return Ok(());
            }
            if is_stopped || consumer.shared.closing.is_cancelled() {
                return Err(Error::new(ErrorKind::Closed, "receive", "this receiver was stopped"));
            }
            if let Some(failure) = failure {
                return Err(failure);
            }
            consumer.keep_polling(max);
            let clock = &consumer.shared.seams.clock;
            let retry_at = next_poll_at.filter(|at| consumer.now() < *at);
            let lease_ends_at = consumer.state().table.next_end();
            let look_at = [retry_at, lease_ends_at].into_iter().flatten().min();
            tokio::select! {
                biased;
                () = changed => {}
                () = consumer.shared.closing.cancelled() => {}
                () = clock.sleep_until(look_at.unwrap_or_default()), if look_at.is_some() => {}
            }
        }
    }

    async fn settle(&self, batch: Vec<Settlement>) -> Vec<SettleOutcome> {
        let outcomes = crate::settle::settle(&self.0, batch).await;
        self.0.changed.notify_waiters();
        outcomes
    }

    async fn extend(&self, tokens: &[Token], by: Duration) -> Vec<ExtendOutcome> {
        crate::settle::extend(&self.0, tokens, by).await
    }

    async fn release(&self, unstarted: Vec<Unsettled>) {
        let now = self.0.now();
        let is_fifo = self.0.shared.options.fifo;
        let (receipts, followers): (Vec<(String, i32)>, Vec<Vec<Delivery>>) = {
            let mut state = self.0.state();
            let mut tokens: Vec<Token> = unstarted.into_iter().map(Unsettled::discharge).collect();
            // As they were received: a server that shows a FIFO group while part of it is still on its
            // way back (localstack#12457) shows its head first.
            tokens.sort_unstable_by_key(|token| token.epoch);
            let taken = tokens.into_iter().filter_map(|token| state.take_back(token, now, is_fifo));
            taken.map(|(held, followers)| ((held.receipt, 0), followers)).unzip()
        };
        // What fails comes back by itself when its lease ends.
        let released = self.0.visibility.submit(receipts);
        drop(followers);
        self.0.changed.notify_waiters();
        let _ = released.all().await;
    }

    async fn lost(&self) -> Vec<Token> {
        let consumer = &self.0;
        loop {
            let changed = consumer.leases_changed.notified();
            let (lost, next_end) = {
                let now = consumer.now();
                let mut state = consumer.state();
                state.table.expire(now);
                (state.table.take_lost(), state.table.next_end())
            };
            if !lost.is_empty() {
                consumer.changed.notify_waiters();
                return lost;
            }
            tokio::select! {
                biased;
                () = changed => {}
                () = consumer.shared.seams.clock.sleep_until(next_end.unwrap_or_default()), if next_end.is_some() => {}
            }
        }
    }

    fn stop(&self) {
        self.0.stop_now();
    }

    async fn close(&self) {
        self.0.stop_now();
        // What fails comes back by itself when its lease ends.
        let _ = self.0.give_up_all().all().await;
    }
}

impl Drop for SqsReceiver {
    fn drop(&mut self) {
        self.0.stop_now();
        drop(self.0.give_up_all());
    }
}

/// Leaves out of a lease what clocks and networks may differ by: a twentieth of it, a second at most.
pub(crate) fn safely(lease: Duration) -> Duration {
    lease - (lease / 20).min(Duration::from_secs(1))
}
