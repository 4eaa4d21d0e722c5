//! From settings to running services, and back to a clean end.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use bus::{Bus, ClockExt, Seams};
use services::http::Edge;
use services::http::server::{self, Limits};
use services::store::{JournaledStore, StoreId};
use services::{consumer, producer};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::banner::{self, Banner};
use crate::failure::Failure;
use crate::output;
use crate::settings::{Role, Settings};

use super::lag::Lags;
use super::signals::Signals;
use super::watched::Watched;
use super::{OpenBus, listeners, members, open_bus, sides};

/// Part of the drain in which running work may finish; the rest is for writing and closing.
const FINISHING_SHARE: f64 = 0.7;

/// Why the services stop.
enum Stop {
    Signal(&'static str),
    /// Something cannot go on: the process ends so that a restart can mend it.
    Failed(String),
}

/// What runs, and what must be closed after it.
struct Running {
    tasks: JoinSet<Result<(), String>>,
    stores: Vec<Arc<JournaledStore>>,
    bus: OpenBus,
    /// As the sides use it, and those of further members of the consumer.
    connections: Vec<Arc<dyn Bus>>,
    stop: CancellationToken,
    finishing: Duration,
}

/// Runs the services until a signal or a failure ends them. Prints the banner once they listen.
pub(crate) async fn serve(settings: Settings, seams: Seams) -> Result<ExitCode, Failure> {
    super::check_scheme(&settings.bus)?;
    let mut signals = Signals::watch()?;
    let (with_producer, with_consumer) = (settings.role != Role::Consumer, settings.role != Role::Producer);
    let holder = format!("orders --role {}", role(settings.role));
    // The stores first: who has the directory is a better answer than who has the port, or the bus in it.
    let producer_store =
        if with_producer { Some(sides::open_store(&settings.data, "producer", &holder)?) } else { None };
    let consumer_store =
        if with_consumer { Some(sides::open_store(&settings.data, "consumer", &holder)?) } else { None };
    let at_producer =
        if with_producer { Some(listeners::bind(settings.producer_addr, "--producer-addr").await?) } else { None };
    let at_consumer =
        if with_consumer { Some(listeners::bind(settings.consumer_addr, "--consumer-addr").await?) } else { None };
    let store_id = match &consumer_store {
        Some(store) => Some(StoreId::of(store.as_ref(), &seams).await.map_err(Failure::runtime)?),
        None => None,
    };
    let mut open = open_bus(&settings.bus, &settings.data.join("bus"), store_id, &seams).await?;
    let (raw, lags, lag) = (Arc::clone(&open.bus), Lags::default(), open.lag.take());
    let mut running = Running {
        tasks: JoinSet::new(),
        stores: producer_store.iter().chain(&consumer_store).cloned().collect(),
        bus: open,
        connections: Vec::new(),
        stop: CancellationToken::new(),
        finishing: settings.drain.mul_f64(FINISHING_SHARE),
    };
    let mut addresses: [Option<SocketAddr>; 2] = [None, None];
    if let (Some((listener, bound)), Some(store)) = (at_producer, producer_store) {
        let stop = running.stop.clone();
        let mut watched = Watched::new("producer", &settings, &seams);
        let bus = watched.bus(Arc::clone(&raw))?;
        store.show_on(&mut watched.page);
        let producer = sides::producer(&settings, Arc::clone(&bus), store, seams.clone(), stop.clone()).await?;
        producer.show_on(&mut watched.page);
        running.listen(listener, watched.page.serve_on(producer::router(Arc::clone(&producer))));
        running.connections = vec![bus];
        running.tasks.spawn(async move {
            producer.run(stop).await;
            Ok(())
        });
        addresses[0] = Some(bound);
    }
    if let (Some((listener, bound)), Some(store)) = (at_consumer, consumer_store) {
        let (stop, finishing) = (running.stop.clone(), running.finishing);
        let mut watched = Watched::new("consumer", &settings, &seams);
        let bus = watched.bus(raw)?;
        store.show_on(&mut watched.page);
        if lag.is_some() {
            lags.add(lag);
            lags.show_on(&mut watched.page);
        }
        let around = watched.page.middleware();
        let consumer =
            sides::consumer(&settings, (Arc::clone(&bus), around), store, seams.clone(), stop.clone(), finishing)
                .await?;
        consumer.show_on(&mut watched.page);
        let further = members::connect(&settings, (&bus, &watched, &lags), store_id, &seams).await?;
        running.listen(listener, watched.page.serve_on(consumer::router(Arc::clone(&consumer))));
        let connections: Vec<_> = std::iter::once(bus).chain(further).collect();
        let members = connections.iter().map(|bus| consumer.member(bus)).collect();
        // The producer's is the same connection, and has nothing in hand.
        running.connections = connections;
        running.tasks.spawn(async move { consumer.run_with(members, stop).await.map_err(|error| error.to_string()) });
        addresses[1] = Some(bound);
    }
    welcome(&settings, running.connections[0].as_ref(), addresses)?;

    let stop = running.wait(&mut signals).await;
    let end = tokio::select! {
        biased;
        never = signals.end_at_next() => match never {},
        end = running.end(stop, settings.drain, &seams) => end,
    };
    Ok(end)
}

fn role(role: Role) -> &'static str {
    match role {
        Role::All => "all",
        Role::Producer => "producer",
        Role::Consumer => "consumer",
    }
}

fn welcome(settings: &Settings, bus: &dyn Bus, [producer, consumer]: [Option<SocketAddr>; 2]) -> Result<(), Failure> {
    let weaknesses = bus.capability().weaknesses();
    let shown = |address: Option<SocketAddr>| address.map(tracing::field::display);
    info!(event = "serving", role = role(settings.role), producer = shown(producer), consumer = shown(consumer),
        bus = %settings.bus, data = %settings.data.display(), "serving");
    let banner = Banner { producer, consumer, data: &settings.data, bus: &settings.bus, weaknesses: &weaknesses };
    output::print(&banner::render(&banner))
}

impl Running {
    fn listen(&mut self, listener: TcpListener, edge: Edge) {
        let limits = Limits { drain: self.finishing, ..Limits::default() };
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            let cut_count = server::serve(listener, edge, limits, stop).await;
            if cut_count > 0 {
                warn!(cut_count, "connections that did not finish in time were cut");
            }
            Ok(())
        });
    }

    /// Until a signal comes, a task ends or a disk fails.
    async fn wait(&mut self, signals: &mut Signals) -> Stop {
        let disks = self.stores.iter().map(|store| Box::pin(store.failed()));
        let mut disks = disks.collect::<Vec<_>>();
        let any_disk = async {
            if disks.is_empty() {
                return std::future::pending().await;
            }
            futures_util::future::select_all(disks.iter_mut()).await.0
        };
        tokio::select! {
            biased;
            name = signals.next() => Stop::Signal(name),
            error = any_disk => Stop::Failed(format!("{error}")),
            error = self.bus.failed() => Stop::Failed(format!("the bus: {error}")),
            Some(ended) = self.tasks.join_next() => Stop::Failed(match ended {
                Ok(Ok(())) => "a part of the services ended by itself".to_owned(),
                Ok(Err(error)) => error,
                Err(error) => error.to_string(),
            }),
        }
    }

    /// Stops taking anything new, lets what runs finish, flushes and closes; all within `drain`.
    async fn end(mut self, stop: Stop, drain: Duration, seams: &Seams) -> ExitCode {
        let code = match &stop {
            Stop::Signal(name) => {
                info!(event = "stopping", signal = name, drain = ?drain, "stopping: finishing what runs");
                0
            }
            Stop::Failed(why) => {
                error!(event = "stopping", why, "stopping: this cannot go on; start again once it is mended");
                1
            }
        };
        self.stop.cancel();
        let closing = async {
            while self.tasks.join_next().await.is_some() {}
            for closed in futures_util::future::join_all(self.connections.iter().map(|bus| bus.close(drain))).await {
                if let Err(error) = closed {
                    warn!(%error, "the bus was not closed cleanly");
                }
            }
            for store in &self.stores {
                if let Err(error) = store.close().await {
                    warn!(%error, "a store was not closed cleanly");
                }
            }
        };
        if seams.clock.timeout(drain, closing).await.is_none() {
            warn!("the drain is over; what was not finished is redone at the next start");
            // Whatever still holds on (a hung disk, a name look-up) would hold the end up as well.
            std::process::exit(code.into());
        }
        info!(event = "stopped", "stopped");
        ExitCode::from(code)
    }
}
