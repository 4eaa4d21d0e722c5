//! With middleware around it, and with an inbox behind it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bus::inbox::{Committed, IdempotentReceiver, Inbox, Parts, UnitOfWork};
use bus::middleware::{HandlerExt, Middleware};
use bus::pipeline::{Attempts, Begun, Envelope, Failure, Handled, Handler, Pipeline};
use bus::typed::{Decoding, Json, TypedHandler, TypedUnitHandler};
use bus::{BusExt, MessageId, Result, Subscription};

use crate::desk::{Desk, Order, key, order};

/// A handler that is a type.
struct Noting(Arc<Mutex<Vec<(Order, Envelope)>>>);

#[async_trait]
impl TypedHandler<Order> for Noting {
    async fn handle(&self, value: Order, envelope: Envelope) -> Handled {
        self.0.lock().expect("nobody panics with it").push((value, envelope));
        Ok(())
    }
}

/// Notes every answer that passes.
struct Answers(Arc<Mutex<Vec<Handled>>>);

#[async_trait]
impl Middleware for Answers {
    async fn handle(&self, envelope: Envelope, next: &dyn Handler) -> Handled {
        let answer = next.handle(envelope).await;
        self.0.lock().expect("nobody panics with it").push(answer.clone());
        answer
    }
}

#[tokio::test(start_paused = true)]
async fn middleware_around_a_typed_handler_sees_values_and_quarantines_pass() {
    let desk = Desk::new().await;
    desk.publish_raw(b"", None).await;
    desk.front.publish_json(&desk.orders, key("one"), &order("2")).await.expect("accepted");
    let answers = Arc::new(Mutex::new(Vec::new()));
    let handler = Decoding::new(Json, Noting(Arc::clone(&desk.seen))).with(Answers(Arc::clone(&answers)));
    let bus = Arc::clone(desk.front.bus());
    desk.run(Pipeline::new(bus, desk.subscription(), Arc::new(handler), desk.seams.clone())).await;
    assert_eq!(desk.seen_numbers(), ["2"]);
    let reason = "cannot read typed::desk::Order: decode json: line 1, column 0: EOF while parsing a value";
    assert_eq!(*answers.lock().expect("nobody panics with it"), [Err(Failure::Reject(reason.to_owned())), Ok(())]);
}

/// An inbox that keeps its effects.
#[derive(Default)]
struct Ledger(Mutex<BTreeMap<MessageId, u32>>);

#[async_trait]
impl Attempts for Ledger {
    async fn begin(&self, _: &Subscription, messages: &[MessageId]) -> Result<Vec<Begun>> {
        Ok(messages.iter().map(|_| Begun::Attempt(1)).collect())
    }

    async fn forgive(&self, _: &Subscription, _: &[MessageId]) -> Result<()> {
        Ok(())
    }

    async fn forget(&self, _: &Subscription, _: &MessageId) -> Result<()> {
        Ok(())
    }
}

#[async_trait]
impl Inbox for Ledger {
    type Effects = u32;

    async fn commit(&self, parts: Parts<u32>) -> Result<Committed> {
        let known = self.0.lock().expect("nobody panics with it").insert(parts.message_id, parts.effects);
        Ok(if known.is_some() { Committed::Duplicate } else { Committed::Applied })
    }
}

/// Books the quantity of each order.
struct Booking;

#[async_trait]
impl TypedUnitHandler<Order, u32> for Booking {
    async fn handle(&self, value: Order, _: &Envelope, unit: &mut UnitOfWork<u32>) -> Handled {
        unit.effects = value.quantity;
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_typed_unit_handler_fills_the_unit_the_idempotent_receiver_commits() {
    let desk = Desk::new().await;
    let outgoing = desk.front.outgoing_json(&desk.orders, None, &order("1")).expect("JSON");
    desk.publish_raw(b"?", None).await;
    assert!(desk.front.bus().publish_one(outgoing.clone()).await.is_accepted());
    let ledger = Arc::new(Ledger::default());
    let handler = IdempotentReceiver::new(Arc::clone(&ledger), Decoding::new(Json, Booking));
    let bus = Arc::clone(desk.front.bus());
    desk.run(Pipeline::new(bus, desk.subscription(), Arc::new(handler), desk.seams.clone())).await;
    let expected = BTreeMap::from([(outgoing.message().id().clone(), 2)]);
    assert_eq!(
        *ledger.0.lock().expect("nobody panics with it"),
        expected,
        "the unreadable one has no effect and no mark"
    );
    assert!(desk.dead_reason().await.starts_with("cannot read typed::desk::Order"));
}
