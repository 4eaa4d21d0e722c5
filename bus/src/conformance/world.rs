//! A connection to the bus under test, and short words for what cases do with it.

use std::sync::Arc;
use std::time::Duration;

use super::{Harness, Time};
use crate::{
    Bus, Capability, ClockExt, Declaration, Delivery, Destination, Group, Message, MessageKey, Moment, Outgoing,
    PublishOutcome, Receiver, ReceiverExt, Result, Seams, SettleOutcome, Settlement,
};

/// How many units of virtual time a delivery that is due may take before it is missed.
const VIRTUAL_PATIENCE_UNIT_COUNT: u32 = 30;

/// The same in real time, where the machine may be slow.
const REAL_PATIENCE_UNIT_COUNT: u32 = 100;

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
