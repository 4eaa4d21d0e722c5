//! A shop and its billing, written against `Bus` alone: is the flow idempotent?
//!
//! ```text
//! cargo run -p simulator --no-default-features --example two_services
//! ```

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bus::layer::{FaultInjection, Faults, LayerExt};
use bus::pipeline::{Envelope, Pipeline};
use bus::{Bus, BusExt, ClockExt, Declaration, Destination, Message, MessageId, Outgoing, Subscription};
use simulator::broker::{Broker, Connection, Model};
use simulator::chronicle::Event;
use simulator::gate::{Gate, Side};
use simulator::gated::gated;
use simulator::node::{Life, Node};
use simulator::{World, simulate, simulate_with_lines};
use tokio_util::sync::CancellationToken;

const ORDERS: u32 = 5;
const HOUR: Duration = Duration::from_secs(3_600);

/// What billing keeps on its disk: how often each order was charged.
type Ledger = Arc<Mutex<BTreeMap<String, u32>>>;

/// Sends each order until it is accepted; the same order has the same id, over crashes too.
async fn shop(bus: Arc<dyn Bus>, node: &Node, orders: &Destination) {
    for number in 0..ORDERS {
        let id = MessageId::parse(&format!("order-{number}")).expect("a legal id");
        let order = Outgoing::new(orders.clone(), Message::new(id, "one lamp"));
        while !bus.publish_one(order.clone()).await.is_accepted() {
            node.seams().clock.sleep(Duration::from_millis(200)).await;
        }
    }
    std::future::pending::<()>().await;
}

/// Charges what comes; with `is_idempotent`, each order once.
async fn billing(bus: Arc<dyn Bus>, node: &Node, orders: &Destination, ledger: &Ledger, is_idempotent: bool) {
    let ledger = Arc::clone(ledger);
    let charge = move |envelope: Envelope| {
        let mut ledger = ledger.lock().unwrap_or_else(PoisonError::into_inner);
        let count = ledger.entry(envelope.message_id().to_string()).or_default();
        *count = if is_idempotent { 1 } else { *count + 1 };
        std::future::ready(Ok(()))
    };
    let pipeline = Pipeline::new(bus, Subscription::to(orders.clone()), Arc::new(charge), node.seams());
    pipeline.run(CancellationToken::new()).await.expect("it was declared");
}

/// One run: lost answers, and a death of each service at a call that the seed chooses.
async fn flow(world: World, model: Model, is_idempotent: bool) -> Result<(), String> {
    let (orders, ledger) = (Destination::new("orders").expect("a legal name"), Ledger::default());
    let broker = Broker::new(model.semantics(), world.seams());
    broker.connect().declare(&[Declaration::of(orders.clone())]).await.expect("a fresh name");
    let [shop_node, billing_node] = ["shop", "billing"].map(|name| Node::new(&world, name));
    let run = async |node: &Node, is_shop: bool| {
        let call = world.chance().between(1, 12, "dies at", node.name());
        let gate = Gate::new(node, Duration::from_millis(5), [(call, Side::After)].into());
        let work = async |connection: Arc<Connection>, life: Life| {
            let faults = Faults { publish_answer_lost_per_mille: 200, ..Faults::default() };
            let bus = gated(connection, &gate, &life).layer(FaultInjection::new(faults, &node.seams()));
            match is_shop {
                true => shop(bus, node, &orders).await,
                false => billing(bus, node, &orders, &ledger, is_idempotent).await,
            }
        };
        // The ledger is a disk that loses nothing.
        node.run_on(&broker, Duration::from_secs(1), work, |_| ()).await;
    };
    let both = Box::pin(async { tokio::join!(run(&shop_node, true), run(&billing_node, false)) });
    world.seams().clock.timeout_here(Duration::from_secs(300), both).await;
    let ledger = ledger.lock().unwrap_or_else(PoisonError::into_inner);
    match ledger.iter().find(|(_, count)| **count != 1) {
        Some((order, count)) => Err(format!("{order} was charged {count} times")),
        None if ledger.len() < ORDERS as usize => Err(format!("{} of {ORDERS} orders were charged", ledger.len())),
        None => Ok(()),
    }
}

fn main() {
    for (name, is_idempotent) in [("charges what comes", false), ("charges an order once", true)] {
        let runs = Model::ALL.into_iter().flat_map(|model| (1..=100).map(move |seed| (model, seed)));
        let failed = runs.filter_map(|(model, seed)| {
            let run = simulate(seed, HOUR, async |world| flow(world, model, is_idempotent).await);
            let verdict = run.ended.unwrap_or_else(|stuck| Err(stuck.to_string()));
            verdict.err().map(|why| (model, seed, why))
        });
        let failed: Vec<(Model, u64, String)> = failed.collect();
        println!("{name}: {} of 400 runs failed", failed.len());
        let Some((model, seed, why)) = failed.first() else { continue };
        println!("seed {seed} on {}: {why}, each time it is run:", model.name());
        let again = simulate_with_lines(*seed, HOUR, async |world| flow(world, *model, is_idempotent).await);
        let tells = |event: &&Event| event.what == "crash" || why.starts_with(&event.whom) && !event.whom.is_empty();
        again.events.iter().filter(tells).for_each(|event| println!("{event}"));
    }
}
