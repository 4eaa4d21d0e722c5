//! Both services, a broker, two disks and a network, put together as the binary `orders` does.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bus::layer::LayerExt;
use bus::middleware::Middleware;
use bus::pipeline::Policy;
use bus::{Bus, Contract, Destination, Seams};
use jiff::tz::TimeZone;
use services::consumer::ports::{LocalBooks, Ports, StockLevels};
use services::consumer::producer_api::HttpProducerApi;
use services::consumer::{self, Consumer, ConsumerParts, ConsumerSettings};
use services::domain::Money;
use services::producer::{self, Producer, ProducerSettings};
use services::store::Store;
use tokio_util::sync::CancellationToken;

use super::bugs::{Bug, Planted};
use super::fault::Fault;
use super::network::{Line, Network};
use super::plan::Plan;
use super::script::Script;
use super::seam::BusSeam;
use super::store::{Disk, StoreSeam};
use super::tally::Tally;
use super::trouble::{BrokerTrouble, Trouble};
use super::watch::Watch;
use crate::World;
use crate::broker::{Broker, Connection, Model};
use crate::gate::Gate;
use crate::node::{Life, Node};

/// Units of the product that is soon out of stock.
pub(super) const RARE_UNITS: u64 = 6;
/// Payments above it are declined, in hundredths.
const PAYMENT_LIMIT: i64 = 10_000_000;
/// Time between a death and the next start.
pub(super) const DOWN_TIME: Duration = Duration::from_millis(500);

/// Everything that outlives a process.
#[derive(Clone)]
pub(super) struct Scene {
    pub(super) world: World,
    pub(super) plan: Arc<Plan>,
    pub(super) broker: Arc<Broker>,
    pub(super) trouble: Trouble,
    pub(super) network: Network,
    pub(super) tally: Tally,
    pub(super) producer: Machine,
    pub(super) consumer: Machine,
    pub(super) watch: Watch,
    planted: Planted,
}

/// A node with its disk and gate.
#[derive(Clone)]
pub(super) struct Machine {
    pub(super) node: Node,
    pub(super) disk: Arc<Disk>,
    pub(super) gate: Gate,
}

/// What one life of a service is made of.
struct Outside {
    bus: Arc<dyn Bus>,
    store: Arc<dyn Store>,
    seams: Seams,
}

impl Scene {
    pub(super) fn new(world: &World, plan: &Arc<Plan>, model: Model, bug: Option<Bug>) -> Self {
        let trouble = Trouble::new(world, plan, Script::of(plan, world.chronicle().is_kept()));
        let interference = Arc::new(BrokerTrouble::new(&trouble));
        let watch = Watch::default();
        let machine = |name, is_consumer| {
            let node = Node::new(world, name);
            let crashes = || plan.crashes.iter().filter(move |crash| crash.is_consumer == is_consumer);
            let numbered = crashes().filter(|crash| crash.of.is_none());
            let deaths: BTreeMap<_, _> = numbered.map(|crash| (crash.call, crash.side)).collect();
            let gate = Gate::new(&node, Duration::from_micros(plan.jitter_max_us), deaths);
            for crash in crashes() {
                if let Some(of) = &crash.of {
                    gate.dies_at(of, crash.call, crash.side);
                }
            }
            Machine { node, disk: Disk::new(&watch), gate }
        };
        Self {
            world: world.clone(),
            plan: Arc::clone(plan),
            broker: Broker::disturbed(model.semantics(), world.seams(), interference),
            network: Network::new(&trouble, world.seams().clock),
            trouble,
            tally: Tally::default(),
            producer: machine("producer", false),
            consumer: machine("consumer", true),
            watch,
            planted: Planted::new(bug),
        }
    }

    /// Runs one of the services, life after life, until the future is dropped.
    pub(super) async fn run(self, is_consumer: bool) {
        let machine = if is_consumer { self.consumer.clone() } else { self.producer.clone() };
        let work = |connection: Arc<Connection>, life: Life| {
            let scene = self.clone();
            async move {
                if is_consumer {
                    scene.consume(connection, life).await;
                } else {
                    scene.produce(connection, life).await;
                }
            }
        };
        let losses = |_: &Life| {
            self.network.hang_up(is_consumer);
            self.lose(&machine);
        };
        machine.node.run_on(&self.broker, DOWN_TIME, work, losses).await;
    }

    /// What was not synced is there or not.
    fn lose(&self, machine: &Machine) {
        let is_lossy = self.plan.faults.contains_key(&Fault::StoreLoss);
        let name = machine.node.name();
        let kept = |count: usize| match is_lossy {
            true => {
                usize::try_from(self.world.chance().between(0, count as u64, "kept of a crash", name)).unwrap_or(count)
            }
            false => count,
        };
        if machine.disk.lose(kept) > 0 {
            self.trouble.note(Fault::StoreLoss, name);
        }
    }

    fn outside(&self, machine: &Machine, connection: Arc<Connection>, life: &Life) -> Outside {
        let seams = machine.node.seams();
        let (gate, trouble) = (machine.gate.clone(), self.trouble.clone());
        let seam = BusSeam {
            gate: gate.clone(),
            life: life.clone(),
            trouble: trouble.clone(),
            tally: self.tally.clone(),
            clock: Arc::clone(&seams.clock),
        };
        let bus = (connection as Arc<dyn Bus>).layer(seam);
        let bus = self.planted.on_bus(bus, &seams);
        let agreement = needs().negotiate(bus.capability());
        let bus = agreement.apply(bus, &seams).expect("every model meets the needs of the order system");
        let store = StoreSeam {
            disk: Arc::clone(&machine.disk),
            gate,
            life: life.clone(),
            trouble,
            clock: Arc::clone(&seams.clock),
            name: format!("write of {}", machine.node.name()),
        };
        if self.planted.answers_early() {
            machine.disk.answer_early();
        }
        let is_consumer = machine.node.name() == self.consumer.node.name();
        let store = self.planted.on_store(Arc::new(store), is_consumer, &seams);
        Outside { bus, store, seams }
    }

    async fn produce(&self, connection: Arc<Connection>, life: Life) {
        let Outside { bus, store, seams } = self.outside(&self.producer, connection, &life);
        let settings = ProducerSettings {
            order_queue: order_queue(),
            sync_queue: sync_queue(),
            time_zone: TimeZone::UTC,
            sync_token: None,
        };
        // What cannot start ends, and is started again.
        let Ok(producer) = Producer::start(bus, store, seams, settings, CancellationToken::new()).await else { return };
        self.network.listen(false, producer::edge(Arc::clone(&producer)), &life);
        producer.run(CancellationToken::new()).await;
    }

    async fn consume(&self, connection: Arc<Connection>, life: Life) {
        let Outside { bus, store, seams } = self.outside(&self.consumer, connection, &life);
        let levels = StockLevels::new([("rare".to_owned(), RARE_UNITS)].into());
        let books =
            Arc::new(LocalBooks::new(Arc::clone(&store), levels, Some(Money::from_hundredths(PAYMENT_LIMIT.into()))));
        let line = Line {
            network: self.network.clone(),
            gate: self.consumer.gate.clone(),
            life: life.clone(),
            tally: self.tally.clone(),
        };
        let ports = self.planted.on_ports(Ports::local(books), &store);
        let watch = Arc::new(self.watch.clone()) as Arc<dyn Middleware>;
        let middleware = [watch].into_iter().chain(self.planted.around_handlers()).collect();
        let producer = Arc::new(HttpProducerApi::new(Arc::new(line), None));
        let parts = ConsumerParts { bus, store, seams, ports, producer, middleware };
        let settings = ConsumerSettings {
            order_queue: order_queue(),
            sync_queue: sync_queue(),
            time_zone: TimeZone::UTC,
            sync_token: None,
            reconcile_every: Duration::from_secs(30),
            reconcile_grace: Duration::from_secs(10),
            policy: Policy::default(),
        };
        let settings = self.planted.on_settings(settings);
        let Ok(consumer) = Consumer::start(parts, settings, CancellationToken::new()).await else { return };
        self.network.listen(true, consumer::edge(Arc::clone(&consumer)), &life);
        let ended = consumer.run(CancellationToken::new()).await;
        drop(ended);
    }
}

/// The needs of the order system, as its binary states them.
fn needs() -> Contract {
    Contract {
        order_per_key: true,
        nack_delay: Duration::from_secs(60),
        handler_time: Policy::default().handler_timeout,
        message_bytes: 16 * 1024,
        dead_letter_after: Some(Policy::default().attempt_count_max),
        ..Contract::default()
    }
}

/// The queue of orders.
pub(super) fn order_queue() -> Destination {
    Destination::new("order-processing-queue").expect("a legal name")
}

/// The queue of sync events.
pub(super) fn sync_queue() -> Destination {
    Destination::new("sync-events-queue").expect("a legal name")
}
