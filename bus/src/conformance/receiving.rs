//! Receivers of the bus under test, and short words for what comes to them.

use std::panic::Location;
use std::sync::Arc;

use super::World;
use super::world::{bodies, body};
use crate::{Bus, ClockExt, Delivery, Destination, Receiver, SubscribeOptions, Subscription};

/// A lease so many times as long outlasts the patience for what is due.
const LONG: u32 = 3;

impl World {
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
}
