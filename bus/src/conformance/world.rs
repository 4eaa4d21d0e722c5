//! A connection to the bus under test, and short words for what cases do with it.

use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use super::{Harness, Time};
use crate::{
    Bus, Capability, ClockExt, Declaration, Delivery, Destination, Group, Message, MessageKey, Moment, Outgoing,
    PublishOutcome, Receiver, ReceiverExt, Result, Seams, SettleOutcome, Settlement, SubscribeOptions, Subscription,
};

/// How many units of virtual time a delivery that is due may take before it is missed.
const VIRTUAL_PATIENCE_UNIT_COUNT: u32 = 30;

/// The same in real time, where the machine may be slow.
const REAL_PATIENCE_UNIT_COUNT: u32 = 100;

/// A lease so many times as long outlasts that patience.
const LONG: u32 = 3;

/// What a case runs in.
pub struct World {
    harness: Arc<dyn Harness>,
    /// The clock and entropy of the run.
    pub seams: Seams,
    /// The first connection.
    pub bus: Arc<dyn Bus>,
    /// Tells the destinations of this case from those of others on the same broker.
    prefix: String,
}

impl World {
    pub(super) async fn open(harness: Arc<dyn Harness>, seams: Seams) -> Result<Self> {
        let bus = harness.connect(&seams).await?;
        let prefix = format!("c{:08x}", seams.entropy.bits("conformance", "prefix") as u32);
        Ok(Self { harness, seams, bus, prefix })
    }

    /// What the bus says it can.
    #[must_use]
    pub fn capability(&self) -> &Capability {
        self.bus.capability()
    }

    /// The harness of the run.
    #[must_use]
    pub fn harness(&self) -> &dyn Harness {
        self.harness.as_ref()
    }

    /// Another connection to the same broker.
    pub async fn connect(&self) -> Arc<dyn Bus> {
        self.harness.connect(&self.seams).await.expect("a second connection")
    }

    /// Closes the first connection and makes another, as a process does that starts again.
    pub async fn reconnect(&self) -> Arc<dyn Bus> {
        self.bus.close(self.due_max()).await.expect("an idle bus closes in time");
        self.connect().await
    }

    /// The shortest lease or delay this bus keeps; waits are written in multiples of it.
    #[must_use]
    pub fn unit(&self) -> Duration {
        match self.harness.time() {
            Time::Virtual => Duration::from_secs(1),
            Time::Real { unit, .. } => unit,
        }
    }

    /// How long nothing must have come for nothing to come: a part of a unit in virtual time.
    #[must_use]
    pub fn patience(&self) -> Duration {
        match self.harness.time() {
            Time::Virtual => self.unit() / 10,
            Time::Real { patience, .. } => patience,
        }
    }

    /// How long what is due may take before it is missed.
    #[must_use]
    pub fn due_max(&self) -> Duration {
        match self.harness.time() {
            Time::Virtual => VIRTUAL_PATIENCE_UNIT_COUNT * self.unit(),
            Time::Real { .. } => REAL_PATIENCE_UNIT_COUNT * self.unit(),
        }
    }

    /// A name no other case uses, not declared.
    #[must_use]
    pub fn undeclared(&self, name: &str) -> Destination {
        Destination::new(&format!("{}-{name}", self.prefix)).expect("short and legal")
    }

    /// A declared destination with its default group.
    pub async fn declared(&self, name: &str) -> Destination {
        let destination = self.undeclared(name);
        self.bus.declare(&[Declaration::of(destination.clone())]).await.expect("a fresh name can be declared");
        destination
    }

    /// The same with further groups.
    pub async fn declared_with(&self, name: &str, groups: &[&Group]) -> Destination {
        let destination = self.undeclared(name);
        let groups = groups.iter().map(|group| (*group).clone()).collect();
        let declaration = Declaration { destination: destination.clone(), groups };
        self.bus.declare(&[declaration]).await.expect("a fresh name can be declared");
        destination
    }

    /// A message with this body and a fresh id.
    #[must_use]
    pub fn message(&self, body: &str) -> Message {
        Message::new(self.seams.message_id(body), body.as_bytes().to_vec())
    }

    /// The same with a key.
    #[must_use]
    pub fn keyed(&self, key: &str, body: &str) -> Message {
        self.message(body).with_key(MessageKey::new(key).expect("a legal key"))
    }

    /// Publishes messages with these bodies in one batch; all must be accepted.
    pub async fn publish(&self, destination: &Destination, bodies: &[&str]) {
        let batch = bodies.iter().map(|body| Outgoing::new(destination.clone(), self.message(body)));
        self.publish_all(batch.collect()).await;
    }

    /// Publishes messages with this key and these bodies in one batch; all must be accepted.
    pub async fn publish_keyed(&self, destination: &Destination, key: &str, bodies: &[&str]) {
        let batch = bodies.iter().map(|body| Outgoing::new(destination.clone(), self.keyed(key, body)));
        self.publish_all(batch.collect()).await;
    }

    /// Publishes a batch; all of it must be accepted.
    pub async fn publish_all(&self, batch: Vec<Outgoing>) {
        let count = batch.len();
        let outcomes = self.bus.publish(batch).await;
        assert_eq!(outcomes.len(), count, "one outcome for each message");
        let is_accepted = outcomes.iter().all(PublishOutcome::is_accepted);
        assert!(is_accepted, "a good message was not accepted: {outcomes:?}");
    }

    /// The usual prefetch, and leases that outlast the wait for what is due: what comes, comes for
    /// another reason than the end of a lease.
    #[must_use]
    pub fn options(&self) -> SubscribeOptions {
        SubscribeOptions { lease: Some(LONG * self.due_max()), ..SubscribeOptions::default() }
    }

    /// A receiver of the default group, with these [`options`](Self::options).
    pub async fn receiver(&self, destination: &Destination) -> Arc<dyn Receiver> {
        self.receiver_of(&Subscription::to(destination.clone()), self.options()).await
    }

    /// A receiver with these options.
    pub async fn receiver_of(&self, subscription: &Subscription, options: SubscribeOptions) -> Arc<dyn Receiver> {
        self.bus.subscribe(subscription, options).await.expect("what is declared can be subscribed to")
    }

    /// A receiver of the default group with leases of `unit_count` units, where there are leases.
    pub async fn leasing(&self, destination: &Destination, unit_count: u32) -> Arc<dyn Receiver> {
        let options = SubscribeOptions { lease: Some(unit_count * self.unit()), ..SubscribeOptions::default() };
        self.receiver_of(&Subscription::to(destination.clone()), options).await
    }

    /// Another receiver of the default group, that alone gets what comes from now
    /// on: `receiver` is stopped and keeps what it has. A broker that sends ahead may otherwise give
    /// to either.
    pub async fn successor(&self, receiver: &Arc<dyn Receiver>, destination: &Destination) -> Arc<dyn Receiver> {
        receiver.stop();
        self.receiver(destination).await
    }

    /// A receiver of the dead letters of `destination`.
    pub async fn graves(&self, destination: &Destination) -> Arc<dyn Receiver> {
        self.receiver(&destination.dead_letters().expect("a short name")).await
    }

    /// A receiver of the default group on another connection.
    pub async fn receiver_on(&self, bus: &Arc<dyn Bus>, destination: &Destination) -> Arc<dyn Receiver> {
        let subscription = Subscription::to(destination.clone());
        bus.subscribe(&subscription, self.options()).await.expect("what is declared can be subscribed to")
    }

    /// Receives exactly `count` deliveries; that they come at all is part of every promise.
    #[track_caller]
    pub fn take(&self, receiver: &Arc<dyn Receiver>, count: usize) -> impl Future<Output = Vec<Delivery>> {
        let step = Location::caller();
        async move {
            let mut into = Vec::new();
            let taking = async {
                while into.len() < count {
                    receiver.receive(count - into.len(), &mut into).await.expect("an open receiver receives");
                }
            };
            let in_time = self.in_time(taking).await.is_some();
            assert!(in_time, "{} of {count} deliveries came: {:?}, at {step}", into.len(), bodies(&into));
            assert_eq!(into.len(), count, "receive appends at most as many as asked for");
            into
        }
    }

    /// Receives one delivery for each of these bodies, and answers them in this order.
    #[track_caller]
    pub fn take_bodies<const COUNT: usize>(
        &self,
        receiver: &Arc<dyn Receiver>,
        bodies: [&str; COUNT],
    ) -> impl Future<Output = [Delivery; COUNT]> {
        let (step, taking) = (Location::caller(), self.take(receiver, COUNT));
        async move {
            let mut taken = taking.await;
            bodies.map(|wanted| {
                let place = taken.iter().position(|delivery| body(delivery) == wanted);
                taken.swap_remove(place.unwrap_or_else(|| panic!("{wanted} did not come, at {step}")))
            })
        }
    }

    /// Receives one delivery.
    #[track_caller]
    pub fn take_one(&self, receiver: &Arc<dyn Receiver>) -> impl Future<Output = Delivery> {
        let taking = self.take(receiver, 1);
        async move { taking.await.pop().expect("one was taken") }
    }

    /// What comes until nothing has come for a while.
    pub async fn poll(&self, receiver: &Arc<dyn Receiver>) -> Vec<Delivery> {
        let mut into = Vec::new();
        loop {
            let before = into.len();
            match self.seams.clock.timeout_here(self.patience(), receiver.receive(1_000, &mut into)).await {
                Some(answer) => answer.expect("an open receiver receives"),
                None => return into,
            }
            assert!(into.len() > before, "receive answered without a delivery");
        }
    }

    /// The same over several receivers, again while that is not `enough` and there is time left: on a slow
    /// server nothing may come for a while of what is due.
    pub async fn poll_until<const COUNT: usize>(
        &self,
        receivers: [&Arc<dyn Receiver>; COUNT],
        is_enough: impl Fn(&[Vec<Delivery>; COUNT]) -> bool,
    ) -> [Vec<Delivery>; COUNT] {
        let mut found = [const { Vec::new() }; COUNT];
        let polling = async {
            loop {
                for (receiver, found) in receivers.iter().zip(&mut found) {
                    found.extend(self.poll(receiver).await);
                }
                if is_enough(&found) {
                    return;
                }
            }
        };
        // What is missing then is for the case to tell.
        let _ = self.in_time(polling).await;
        found
    }

    /// Asserts that nothing comes for a while, because of `why`.
    #[track_caller]
    pub fn nothing_comes(&self, receiver: &Arc<dyn Receiver>, why: &str) -> impl Future<Output = ()> {
        let step = Location::caller();
        async move {
            let came = self.poll(receiver).await;
            assert!(came.is_empty(), "{why}, but there came {:?}, at {step}", bodies(&came));
        }
    }

    /// Settles a batch; all of it must be settled.
    pub async fn settle(&self, receiver: &Arc<dyn Receiver>, batch: Vec<Settlement>) {
        let count = batch.len();
        let outcomes = receiver.settle(batch).await;
        assert_eq!(outcomes.len(), count, "one outcome for each settlement");
        assert!(outcomes.iter().all(SettleOutcome::is_settled), "not settled: {outcomes:?}");
    }

    /// Acknowledges deliveries.
    pub async fn ack(&self, receiver: &Arc<dyn Receiver>, deliveries: Vec<Delivery>) {
        self.settle(receiver, deliveries.into_iter().map(Delivery::ack).collect()).await;
    }

    /// Gives deliveries back as if they had never come.
    pub async fn release(&self, receiver: &Arc<dyn Receiver>, deliveries: Vec<Delivery>) {
        receiver.release(deliveries.into_iter().map(|delivery| delivery.split().1).collect()).await;
    }

    /// Settles one delivery and answers how that went.
    pub async fn settle_one(&self, receiver: &Arc<dyn Receiver>, settlement: Settlement) -> SettleOutcome {
        receiver.settle_one(settlement).await
    }

    /// What `work` answers, unless it takes longer than anything that is due may.
    pub async fn in_time<F: Future>(&self, work: F) -> Option<F::Output> {
        self.seams.clock.timeout_here(self.due_max(), work).await
    }

    /// Asserts that no time has passed since `then` that a lease or delay could be the cause of. In
    /// real time that cannot be told from a slow machine.
    pub fn assert_at_once(&self, then: Moment) {
        let passed = self.seams.clock.now().since(then);
        assert!(self.harness.time() != Time::Virtual || passed < self.unit(), "it took {passed:?}");
    }

    /// Prints what a case has measured. In virtual time there is nothing to measure.
    pub fn report(&self, measured: &str) {
        if self.harness.time() != Time::Virtual {
            println!("{measured}");
        }
    }

    /// Lets time pass.
    pub async fn sleep(&self, span: Duration) {
        self.seams.clock.sleep(span).await;
    }
}

/// The body as text.
pub(in crate::conformance) fn body(delivery: &Delivery) -> String {
    String::from_utf8_lossy(delivery.message().body()).into_owned()
}

/// The bodies as text.
pub(in crate::conformance) fn bodies(deliveries: &[Delivery]) -> Vec<String> {
    deliveries.iter().map(body).collect()
}
