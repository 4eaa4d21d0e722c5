//! Many publishers and a few receivers on one destination, while somebody takes the broker away.

use std::cell::{Cell, RefCell, RefMut};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{Time, World};
use crate::{ClockExt, Declaration, Delivery, Destination, ErrorKind, MessageId, Outgoing, PublishOutcome, Receiver};

const PUBLISHER_COUNT: usize = 100;
const RECEIVER_COUNT: usize = 4;
/// Messages in one call of a publisher.
const BATCH_COUNT: usize = 10;
/// Deliveries taken by one receiver at a time.
const TAKE_COUNT_MAX: usize = 64;
const OUTAGE_COUNT: usize = 2;
/// How long the storm may take: a broker needs its time to start again.
const VIRTUAL_TIME_MAX: Duration = Duration::from_secs(200);
const REAL_TIME_MAX: Duration = Duration::from_secs(240);

/// What the publishers were told, and what came.
#[derive(Debug, Default)]
struct Tally {
    sent: BTreeSet<MessageId>,
    accepted_count: usize,
    /// Accepted, must arrive, and has not come yet.
    owed: BTreeSet<MessageId>,
    came: BTreeSet<MessageId>,
    refused_count: usize,
    unknown_count: usize,
}

/// One destination in bad weather.
pub(super) struct Storm<'a> {
    world: &'a World,
    destination: Destination,
    /// Whether an outage takes along what the broker has; what must arrive begins after the last.
    takes_state: bool,
    tally: RefCell<Tally>,
    outages_ended: Cell<usize>,
    changed: Notify,
    is_over: CancellationToken,
}

impl<'a> Storm<'a> {
    pub(super) async fn on(world: &'a World, name: &str, takes_state: bool) -> Self {
        Self {
            world,
            destination: world.declared(name).await,
            takes_state,
            tally: RefCell::default(),
            outages_ended: Cell::default(),
            changed: Notify::new(),
            is_over: CancellationToken::new(),
        }
    }

    /// Publishes `count` messages, each until it is accepted, with an `outage` at one third and at two
    /// thirds of them, and receives until all that must arrive has.
    pub(super) async fn blow(&self, count: usize, outage: impl AsyncFn()) {
        let receivers = self.world.receivers::<RECEIVER_COUNT>(&self.destination).await;
        let outages = async {
            for nth in 1..=OUTAGE_COUNT {
                self.until(|tally| tally.accepted_count * (OUTAGE_COUNT + 1) >= nth * count).await;
                outage().await;
                if self.takes_state {
                    self.declare_again().await;
                }
                self.outages_ended.set(nth);
            }
        };
        let sending = async {
            let publishers = (0..PUBLISHER_COUNT).map(|place| self.publish(place, count / PUBLISHER_COUNT));
            tokio::join!(join_all(publishers), outages);
            self.until(|tally| tally.owed.is_empty()).await;
            self.is_over.cancel();
        };
        let receiving = join_all(receivers.iter().map(|receiver| self.receive(receiver)));
        let limit = if self.world.harness().time() == Time::Virtual { VIRTUAL_TIME_MAX } else { REAL_TIME_MAX };
        let all = async { tokio::join!(sending, receiving) };
        let in_time = self.world.seams.clock.timeout_here(limit, all).await.is_some();
        let Tally { accepted_count, owed, refused_count, unknown_count, .. } = &*self.tally.borrow();
        let refused = format!("{refused_count} refusals and {unknown_count} without an answer");
        self.world.report(&format!("{accepted_count} accepted after {refused}"));
        assert!(in_time || *accepted_count == count, "only {accepted_count} of {count} messages were ever accepted");
        let some: Vec<&MessageId> = owed.iter().take(3).collect();
        assert!(
            in_time,
            "{} of {accepted_count} accepted messages of {count} never arrived, such as {some:?}",
            owed.len()
        );
    }

    async fn publish(&self, place: usize, count: usize) {
        let messages = (0..count).map(|number| self.world.message(&format!("{place}/{number}")));
        let all: Vec<Outgoing> = messages.map(|message| Outgoing::new(self.destination.clone(), message)).collect();
        self.tally().sent.extend(all.iter().map(|outgoing| outgoing.message().id().clone()));
        for batch in all.chunks(BATCH_COUNT) {
            let mut batch = batch.to_vec();
            loop {
                batch = self.publish_batch(batch).await;
                if batch.is_empty() {
                    break;
                }
                self.wait_a_little().await;
            }
        }
    }

    /// Publishes a batch and answers what is to be sent once more, the same ids and bytes.
    async fn publish_batch(&self, mut batch: Vec<Outgoing>) -> Vec<Outgoing> {
        let must_arrive = !self.takes_state || self.outages_ended.get() == OUTAGE_COUNT;
        let outcomes = self.world.bus.publish(batch.clone()).await;
        assert_eq!(outcomes.len(), batch.len(), "one outcome for each message");
        let mut tally = self.tally();
        let mut outcomes = outcomes.into_iter();
        batch.retain(|outgoing| match outcomes.next() {
            Some(PublishOutcome::Accepted(_)) => {
                let id = outgoing.message().id();
                tally.accepted_count += 1;
                if must_arrive && !tally.came.contains(id) {
                    tally.owed.insert(id.clone());
                }
                false
            }
            Some(PublishOutcome::Refused(error)) => {
                // Where the broker forgot its destinations they are not found until declared again.
                assert!(error.is_retryable() || self.takes_state, "an outage passes: {error:?}");
                tally.refused_count += 1;
                true
            }
            Some(PublishOutcome::Unknown(_)) | None => {
                tally.unknown_count += 1;
                true
            }
        });
        batch
    }

    async fn receive(&self, receiver: &Arc<dyn Receiver>) {
        loop {
            let mut into = Vec::new();
            let answer = tokio::select! {
                biased;
                () = self.is_over.cancelled() => return,
                answer = receiver.receive(TAKE_COUNT_MAX, &mut into) => answer,
            };
            if let Err(error) = answer {
                assert_ne!(error.kind(), ErrorKind::Closed, "reconnecting is the backend's work");
                self.wait_a_little().await;
                continue;
            }
            for delivery in &into {
                let (id, mut tally) = (delivery.message().id(), self.tally());
                assert!(tally.sent.contains(id), "nobody sent {id}");
                tally.owed.remove(id);
                tally.came.insert(id.clone());
            }
            // What was settled in vain comes again, and is settled then.
            let _ = receiver.settle(into.into_iter().map(Delivery::ack).collect()).await;
        }
    }

    async fn declare_again(&self) {
        while self.world.bus.declare(&[Declaration::of(self.destination.clone())]).await.is_err() {
            self.wait_a_little().await;
        }
    }

    async fn wait_a_little(&self) {
        self.world.sleep(self.world.unit() / 10).await;
    }

    async fn until(&self, is_so: impl Fn(&Tally) -> bool) {
        loop {
            let changed = self.changed.notified();
            if is_so(&self.tally.borrow()) {
                return;
            }
            changed.await;
        }
    }

    /// The tally, to be changed.
    fn tally(&self) -> RefMut<'_, Tally> {
        self.changed.notify_waiters();
        self.tally.borrow_mut()
    }
}
