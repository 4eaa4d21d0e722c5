//! One receiver: a buffer its channel feeds, and the deliveries in hand.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bus::{
    Delivery, Error, ErrorKind, ExtendOutcome, Receiver, Result, Returns, SettleOutcome, Settlement, SubscribeOptions,
    Subscription, Token, Unsettled,
};
use futures_util::FutureExt;
use lapin::Channel;
use lapin::options::{BasicAckOptions, BasicNackOptions};
use tokio::sync::{Notify, oneshot};
use tokio_util::sync::CancellationToken;

use crate::feed;
use crate::shared::Shared;
use crate::table::Table;

/// What receiver, channel and dropped deliveries share.
pub(crate) struct Consumer {
    pub(crate) shared: Arc<Shared>,
    pub(crate) subscription: Subscription,
    pub(crate) prefetch_count: u16,
    state: Mutex<State>,
    /// Something was received, or it was stopped.
    pub(crate) changed: Notify,
    /// Deliveries were lost.
    pub(crate) losses: Notify,
    /// Something was dropped and is to be given back, or a purge waits for what was sent ahead.
    pub(crate) returns: Notify,
    /// Nothing more is received; settling goes on.
    pub(crate) stopping: CancellationToken,
    /// Nothing more is settled.
    pub(crate) closing: CancellationToken,
    /// The channel is closed, and with it everything that was settled has arrived.
    pub(crate) ended: CancellationToken,
}

/// Behind one lock, which is never held over I/O.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) table: Table,
    /// The channel of the table's epoch.
    pub(crate) channel: Option<Channel>,
    /// Received and not handed out.
    pub(crate) buffer: VecDeque<Delivery>,
    /// Dropped, and not yet given back.
    pub(crate) returned: Vec<Token>,
    /// Purges that wait until what was sent ahead of them is removed.
    purges: Vec<oneshot::Sender<()>>,
}

impl State {
    /// Gives back and acknowledges what was taken out of the table; `false` when the channel is gone.
    ///
    /// What goes back goes first: one acknowledgement covers everything before it that the server
    /// still counts as held. Called under the lock that the deliveries were taken out under, so that
    /// nothing before it is under way elsewhere.
    ///
    /// The client queues a frame when its call is first polled; the rest of the call only waits until
    /// it is written, and these frames have no answer.
    pub(crate) fn send(&self, requeued: Vec<u64>, acked: Vec<u64>) -> bool {
        let Some(channel) = &self.channel else { return false };
        let requeue = |tag: &u64| {
            let options = BasicNackOptions { multiple: false, requeue: true };
            !matches!(channel.basic_nack(*tag, options).now_or_never(), Some(Err(_)))
        };
        let ack = |tag: u64, multiple| {
            !matches!(channel.basic_ack(tag, BasicAckOptions { multiple }).now_or_never(), Some(Err(_)))
        };
        let (covering, single) = covered(acked, self.table.first_held());
        in_order(requeued).iter().all(requeue)
            && covering.is_none_or(|tag| ack(tag, true))
            && single.into_iter().all(|tag| ack(tag, false))
    }

    /// The channel is gone: nothing of it can be settled or handed out.
    fn lose(&mut self) -> VecDeque<Delivery> {
        self.channel = None;
        self.returned.clear();
        self.purges.clear();
        self.table.lose_all();
        std::mem::take(&mut self.buffer)
    }
}

impl Consumer {
    pub(crate) fn open(shared: Arc<Shared>, subscription: Subscription, options: SubscribeOptions) -> Arc<Self> {
        Arc::new(Self {
            shared,
            subscription,
            prefetch_count: u16::try_from(options.prefetch_count_max).unwrap_or(u16::MAX),
            state: Mutex::default(),
            changed: Notify::new(),
            losses: Notify::new(),
            returns: Notify::new(),
            stopping: CancellationToken::new(),
            closing: CancellationToken::new(),
            ended: CancellationToken::new(),
        })
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new channel feeds this receiver.
    pub(crate) fn begin(&self, channel: Channel) {
        let epoch = self.shared.next_epoch();
        let mut state = self.state();
        state.table.begin(epoch);
        state.channel = Some(channel);
    }

    /// The channel is gone.
    pub(crate) fn lose(&self) {
        let buffered = self.state().lose();
        discharge(buffered);
        self.losses.notify_waiters();
        self.changed.notify_waiters();
    }

    /// Gives back what was dropped, and after a stop what was never handed out.
    pub(crate) fn give_back_all(&self) {
        let mut buffered = VecDeque::new();
        {
            let mut state = self.state();
            let mut tokens = std::mem::take(&mut state.returned);
            if self.stopping.is_cancelled() {
                buffered = std::mem::take(&mut state.buffer);
                tokens.extend(buffered.iter().map(Delivery::token));
            }
            let table = &mut state.table;
            let tags = tokens.into_iter().filter(|token| table.take(*token).is_some()).map(|token| token.slot);
            let tags = tags.collect();
            state.send(tags, Vec::new());
        }
        discharge(buffered);
    }

    /// Lets everything arrive that was given back, dropped deliveries included.
    pub(crate) async fn flush(&self) {
        self.give_back_all();
        let channel = self.state().channel.clone();
        if let Some(channel) = channel {
            feed::round_trip(self, &channel).await;
        }
    }

    /// Removes what was sent ahead and not handed out, what is still on its way included.
    pub(crate) async fn purge(&self) {
        let (purged, is_purged) = oneshot::channel();
        {
            let mut state = self.state();
            if state.channel.is_none() {
                return;
            }
            state.purges.push(purged);
        }
        self.returns.notify_one();
        // Dropped with the channel, and all it has sent with it.
        let _ = is_purged.await;
    }

    /// Purges that wait; each is to be dropped when it is done.
    pub(crate) fn take_purges(&self) -> Vec<oneshot::Sender<()>> {
        std::mem::take(&mut self.state().purges)
    }

    /// Removes what has come and is not handed out.
    pub(crate) fn purge_buffer(&self) {
        let buffered = {
            let mut state = self.state();
            let buffered = std::mem::take(&mut state.buffer);
            let table = &mut state.table;
            let tokens = buffered.iter().map(Delivery::token);
            let tags = tokens.filter(|token| table.take(*token).is_some()).map(|token| token.slot).collect();
            state.send(Vec::new(), tags);
            buffered
        };
        discharge(buffered);
    }

    /// Ends receiving and settling.
    pub(crate) fn end(&self) {
        self.stopping.cancel();
        self.changed.notify_waiters();
        self.closing.cancel();
    }

    fn hand_out(&self, max: usize, into: &mut Vec<Delivery>) -> bool {
        let mut state = self.state();
        let count = max.min(state.buffer.len());
        into.extend(state.buffer.drain(..count));
        count > 0
    }
}

fn in_order(mut tags: Vec<u64>) -> Vec<u64> {
    tags.sort_unstable();
    tags
}

/// The acknowledgement that covers as many as possible, with nothing held before it, and the others.
fn covered(tags: Vec<u64>, first_held: u64) -> (Option<u64>, Vec<u64>) {
    let tags = in_order(tags);
    match tags.partition_point(|tag| *tag < first_held) {
        0 | 1 => (None, tags),
        count => (Some(tags[count - 1]), tags[count..].to_vec()),
    }
}

/// Ends the duty to settle what is settled or lost already.
fn discharge(deliveries: VecDeque<Delivery>) {
    for delivery in deliveries {
        delivery.split().1.discharge();
    }
}

impl Returns for Consumer {
    fn give_back(&self, token: Token) {
        self.state().returned.push(token);
        self.returns.notify_one();
    }
}

/// The receiver handed to consumers. Dropped, it gives back what it has.
pub(crate) struct AmqpReceiver(pub(crate) Arc<Consumer>);

#[async_trait]
impl Receiver for AmqpReceiver {
    async fn receive(&self, max: usize, into: &mut Vec<Delivery>) -> Result<()> {
        let consumer = &self.0;
        if max == 0 {
            return Ok(());
        }
        loop {
            // Made before the look, so that nothing between the look and the wait is missed.
            let changed = consumer.changed.notified();
            if consumer.stopping.is_cancelled() {
                return Err(Error::new(ErrorKind::Closed, "receive", "this receiver was stopped"));
            }
            if consumer.hand_out(max, into) {
                return Ok(());
            }
            changed.await;
        }
    }

    async fn settle(&self, batch: Vec<Settlement>) -> Vec<SettleOutcome> {
        crate::settle::settle(&self.0, batch).await
    }

    async fn extend(&self, tokens: &[Token], _by: Duration) -> Vec<ExtendOutcome> {
        let mut state = self.0.state();
        let outcome = |token: &Token| match state.table.has(*token) {
            true => {
                let text = "RabbitMQ prolongs nothing: a delivery is held until settled, or its consumer_timeout ends";
                ExtendOutcome::Failed(Error::new(ErrorKind::Unsupported, "extend", text))
            }
            false => ExtendOutcome::LeaseLost,
        };
        tokens.iter().map(outcome).collect()
    }

    async fn release(&self, unstarted: Vec<Unsettled>) {
        let mut state = self.0.state();
        let tokens = unstarted.into_iter().map(Unsettled::discharge);
        let table = &mut state.table;
        let tags = tokens.filter(|token| table.take(*token).is_some()).map(|token| token.slot).collect();
        state.send(tags, Vec::new());
    }

    async fn lost(&self) -> Vec<Token> {
        loop {
            let losses = self.0.losses.notified();
            let lost = self.0.state().table.take_lost();
            if !lost.is_empty() {
                return lost;
            }
            losses.await;
        }
    }

    fn stop(&self) {
        self.0.stopping.cancel();
        self.0.changed.notify_waiters();
    }

    async fn close(&self) {
        self.0.end();
        self.0.ended.cancelled().await;
    }
}

impl Drop for AmqpReceiver {
    fn drop(&mut self) {
        self.0.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_acknowledgement_covers_nothing_that_is_held() {
        for (tags, first_held, expected) in [
            (vec![], 1, (None, vec![])),
            (vec![3], u64::MAX, (None, vec![3])),
            (vec![3, 1, 2], u64::MAX, (Some(3), vec![])),
            (vec![1, 2, 4, 5], 3, (Some(2), vec![4, 5])),
            (vec![2, 3], 1, (None, vec![2, 3])),
        ] {
            assert_eq!(covered(tags.clone(), first_held), expected, "{tags:?} with {first_held} held");
        }
    }
}
