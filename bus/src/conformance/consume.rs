//! Receiving over several receivers at once, and whether what came kept the order of its keys.
//!
//! Bodies of keyed messages are the key and a number from 1: `a1`, `a2`, `b1`.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::panic::Location;
use std::sync::Arc;

use futures_util::future::join_all;
use tokio_util::sync::CancellationToken;

use super::World;
use super::world::body;
use crate::{Delivery, Destination, Moment, Receiver};

/// Most deliveries taken by one receiver at a time.
const TAKE_COUNT_MAX: usize = 4;

/// What happened to a message, in the order in which it did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) at: Moment,
    /// Place of the receiver.
    pub(super) receiver: usize,
    pub(super) body: String,
    pub(super) what: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Came,
    /// Its acknowledgement was handed over: from now on another receiver may have the next one.
    Acked,
}

impl World {
    /// Receivers of the default group.
    pub(super) async fn receivers<const COUNT: usize>(&self, destination: &Destination) -> [Arc<dyn Receiver>; COUNT] {
        let mut receivers = Vec::with_capacity(COUNT);
        for _ in 0..COUNT {
            receivers.push(self.receiver(destination).await);
        }
        receivers.try_into().unwrap_or_else(|_| unreachable!("as many as were made"))
    }

    /// Receives over all of `receivers` at once until `count` deliveries came, and acknowledges each.
    #[track_caller]
    pub(super) fn consume(&self, receivers: &[Arc<dyn Receiver>], count: usize) -> impl Future<Output = Vec<Event>> {
        self.consume_until(receivers, move |events| came(events).len() >= count)
    }

    /// The same until `is_enough`.
    #[track_caller]
    pub(super) fn consume_until(
        &self,
        receivers: &[Arc<dyn Receiver>],
        is_enough: impl Fn(&[Event]) -> bool,
    ) -> impl Future<Output = Vec<Event>> {
        let step = Location::caller();
        async move {
            let events = RefCell::new(Vec::new());
            let enough = CancellationToken::new();
            let consuming = receivers.iter().enumerate().map(|(place, receiver)| {
                let (events, enough, is_enough) = (&events, &enough, &is_enough);
                let log = move |deliveries: &[Delivery], what| {
                    let at = self.seams.clock.now();
                    let found = deliveries.iter().map(|delivery| Event { at, receiver: place, body: body(delivery), what });
                    events.borrow_mut().extend(found);
                };
                async move {
                    while !is_enough(&events.borrow()) {
                        let mut into = Vec::new();
                        tokio::select! {
                            biased;
                            () = enough.cancelled() => return,
                            answer = receiver.receive(TAKE_COUNT_MAX, &mut into) => answer.expect("an open receiver receives"),
                        }
                        log(&into, What::Came);
                        // In hand for a moment: what another receiver must not have is looked for now.
                        self.sleep(self.unit() / 1_000).await;
                        log(&into, What::Acked);
                        self.ack(receiver, into).await;
                    }
                    enough.cancel();
                }
            });
            let in_time = self.in_time(join_all(consuming)).await.is_some();
            assert!(in_time, "not all came, only {:?}, at {step}", came(&events.borrow()));
            events.into_inner()
        }
    }
}

/// The bodies of what came, in order.
pub(super) fn came(events: &[Event]) -> Vec<String> {
    events.iter().filter(|event| event.what == What::Came).map(|event| event.body.clone()).collect()
}

/// When a message came first.
pub(super) fn came_at(events: &[Event], body: &str) -> Moment {
    let found = events.iter().find(|event| event.what == What::Came && event.body == body);
    found.unwrap_or_else(|| panic!("{body} never came: {:?}", came(events))).at
}

/// Asserts that each message of a key came when all before it were acknowledged, or with the same
/// receiver.
pub(super) fn assert_order_per_key(events: &[Event]) {
    #[derive(Default)]
    struct Lane {
        acked: usize,
        in_hand: Vec<(usize, usize)>,
    }
    let mut lanes: BTreeMap<&str, Lane> = BTreeMap::new();
    for Event { receiver, body, what, .. } in events {
        let key = body.trim_end_matches(|character: char| character.is_ascii_digit());
        let number: usize = body[key.len()..].parse().expect("bodies are keys and numbers");
        let lane = lanes.entry(key).or_default();
        match what {
            What::Came => {
                let next = lane.acked + lane.in_hand.len() + 1;
                assert_eq!(number, next, "{body} came out of order: {:?}", came(events));
                let holder = lane.in_hand.first().map_or(*receiver, |(_, holder)| *holder);
                assert_eq!(holder, *receiver, "{body} came while another receiver had the one before it");
                lane.in_hand.push((number, *receiver));
            }
            What::Acked => {
                lane.in_hand.retain(|(held, _)| *held != number);
                lane.acked += 1;
            }
        }
    }
}
