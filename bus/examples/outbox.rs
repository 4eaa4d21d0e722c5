//! State and the message that tells of it, as one write; and the effect at the other end, once.
//!
//! Shows a store that implements [`Outbox`] and [`Inbox`]. A relay is killed between the acceptance
//! of a message by the bus and the note that it was sent, the worst moment there is: the next relay
//! sends it again, and the inbox recognizes the second copy.
//!
//! ```text
//! cargo run -p bus --example outbox
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bus::inbox::{Committed, IdempotentReceiver, Inbox, Parts, UnitOfWork};
use bus::outbox::{Outbox, OutboxRow, Relay, Relayed};
use bus::pipeline::{Attempts, Begun, Envelope, Handled, Pipeline};
use bus::typed::{Decoding, Front, Json, TypedUnitHandler};
use bus::{Declaration, Destination, MessageId, MessageKey, Outgoing, Result, Seams, Subscription};
use bus_memory::{MemoryBus, MemoryOptions};
use tokio_util::sync::CancellationToken;

/// What one service keeps. In a database the lock is a transaction.
#[derive(Default)]
struct Store {
    rows: Mutex<Rows>,
    /// A copy came: the story is told.
    recognized: CancellationToken,
}

#[derive(Default)]
struct Rows {
    sold_count: u32,
    outbox: BTreeMap<u64, Outgoing>,
    seen: BTreeSet<MessageId>,
}

impl Store {
    fn rows(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Outbox for Store {
    async fn pending(&self, after: u64, max: usize) -> Result<Vec<OutboxRow>> {
        let rows = self.rows();
        let later = rows.outbox.range(after + 1..).take(max);
        Ok(later.map(|(sequence, outgoing)| OutboxRow { sequence: *sequence, outgoing: outgoing.clone() }).collect())
    }

    async fn wait(&self, _after: u64) {
        // Every row of this story is written before its relay starts.
        std::future::pending::<()>().await;
    }

    async fn relayed(&self, relayed: &[Relayed]) -> Result<()> {
        // A database is some way off: far enough to die on the way.
        tokio::task::yield_now().await;
        self.rows().outbox.retain(|sequence, _| !relayed.contains(&Relayed::Sent(*sequence)));
        Ok(())
    }
}

#[async_trait]
impl Attempts for Store {
    async fn begin(&self, _: &Subscription, messages: &[MessageId]) -> Result<Vec<Begun>> {
        Ok(vec![Begun::Attempt(1); messages.len()])
    }

    async fn forgive(&self, _: &Subscription, _: &[MessageId]) -> Result<()> {
        Ok(())
    }

    async fn forget(&self, _: &Subscription, _: &MessageId) -> Result<()> {
        Ok(())
    }
}

#[async_trait]
impl Inbox for Store {
    type Effects = u32;

    async fn commit(&self, parts: Parts<u32>) -> Result<Committed> {
        let mut rows = self.rows();
        if !rows.seen.insert(parts.message_id) {
            println!("warehouse: a copy came, and was recognized");
            self.recognized.cancel();
            return Ok(Committed::Duplicate);
        }
        rows.sold_count += parts.effects;
        Ok(Committed::Applied)
    }
}

/// Says what one order does; the idempotent receiver commits it.
struct Sell;

#[async_trait]
impl TypedUnitHandler<u32, u32> for Sell {
    async fn handle(&self, quantity: u32, _: &Envelope, unit: &mut UnitOfWork<u32>) -> Handled {
        unit.effects = quantity;
        unit.after_commit(move || println!("warehouse: {quantity} sold and the message marked, in one write"));
        Ok(())
    }
}

#[tokio::main(flavor = "current_thread")]
pub(crate) async fn main() -> Result<()> {
    let seams = Seams::system();
    let front = Front::new(MemoryBus::new(seams.clone(), MemoryOptions::default()), seams.clone());
    let (bus, orders) = (front.bus(), Destination::new("orders")?);
    bus.declare(&[Declaration::of(orders.clone())]).await?;

    let shop = Arc::new(Store::default());
    let outgoing = front.outgoing_json(&orders, MessageKey::new("ORD-1")?, &2)?;
    shop.rows().outbox.insert(1, outgoing);
    println!("shop: order stored with its message, in one write");

    let (first, accepted) = relay(&front, &shop, &seams);
    tokio::select! {
        biased;
        () = accepted.cancelled() => println!("relay: killed right after the bus accepted the message"),
        () = first.run(CancellationToken::new()) => {}
    }
    println!("shop: {} message still in the outbox", shop.rows().outbox.len());

    let (second, accepted) = relay(&front, &shop, &seams);
    second.run(accepted).await;
    let copies = bus.depth(&Subscription::to(orders.clone())).await?.ready_count;
    println!("relay: sent again; {} messages in the outbox, {copies} copies on the bus", shop.rows().outbox.len());

    let warehouse = Arc::new(Store::default());
    let handler = IdempotentReceiver::new(Arc::clone(&warehouse), Decoding::new(Json, Sell));
    let pipeline = Pipeline::new(Arc::clone(bus), Subscription::to(orders), Arc::new(handler), seams);
    pipeline.run(warehouse.recognized.clone()).await?;
    println!("warehouse: {} sold in all", warehouse.rows().sold_count);
    Ok(())
}

/// A relay, and a token that fires once the bus has accepted a message of it.
fn relay(front: &Front, shop: &Arc<Store>, seams: &Seams) -> (Relay, CancellationToken) {
    let accepted = CancellationToken::new();
    let accept = accepted.clone();
    let relay = Relay::new(Arc::clone(front.bus()), Arc::clone(shop) as _, seams.clone());
    (relay.observed_by(move |_| accept.cancel()), accepted)
}
