//! Processes that die and start again.
//!
//! A death ends the life first; then the world takes its losses, so that every old handle is inert; then what
//! ran is dropped, and nothing that its destructors do has an effect; and after a while a new life begins.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bus::{ClockExt, Seams};
use tokio_util::sync::CancellationToken;

use crate::World;
use crate::clock::NodeClock;

/// From a start to a death. Clones are the same life.
#[derive(Clone, Debug, Default)]
pub struct Life(Arc<Over>);

#[derive(Debug, Default)]
struct Over {
    /// Asked at every call, so that it takes no lock.
    is_over: AtomicBool,
    told: CancellationToken,
}

impl Life {
    /// Ends it: whatever runs in it goes no further.
    pub fn end(&self) {
        self.0.is_over.store(true, Ordering::Release);
        self.0.told.cancel();
    }

    /// Whether it is over.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.0.is_over.load(Ordering::Acquire)
    }

    /// Runs `work` until it is done or the life is over; then it is dropped where it stands.
    pub async fn while_it_lasts<F: Future>(&self, work: F) -> Option<F::Output> {
        tokio::select! {
            biased;
            () = self.0.told.cancelled() => None,
            output = work => Some(output),
        }
    }
}

/// A process. Clones are the same one.
#[derive(Clone, Debug)]
pub struct Node {
    name: &'static str,
    world: World,
    clock: Arc<NodeClock>,
    current: Arc<Mutex<Current>>,
}

#[derive(Debug, Default)]
struct Current {
    generation: u32,
    life: Life,
}

impl Node {
    /// A process of that name, which does not run yet.
    #[must_use]
    pub fn new(world: &World, name: &'static str) -> Self {
        let clock = NodeClock::new(Arc::clone(world.clock()));
        Self { name, world: world.clone(), clock, current: Arc::default() }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The world it is in.
    #[must_use]
    pub fn world(&self) -> &World {
        &self.world
    }

    /// The clock of its machine.
    #[must_use]
    pub fn clock(&self) -> &Arc<NodeClock> {
        &self.clock
    }

    /// Clock and entropy, as handed to what runs in it.
    #[must_use]
    pub fn seams(&self) -> Seams {
        Seams { clock: Arc::clone(&self.clock) as _, entropy: Arc::clone(self.world.chance()) as _ }
    }

    /// How often it has started.
    #[must_use]
    pub fn generation(&self) -> u32 {
        self.current().generation
    }

    /// Kills it, as a power cut does. It starts again where it is [run](Self::run).
    pub fn crash(&self) {
        let life = self.current().life.clone();
        if !life.is_over() {
            self.world.chronicle().note(self.name, "crash", "", "");
            life.end();
        }
    }

    /// Runs `work` life after life until the future is dropped. At each death `losses` are taken while what ran
    /// is still there, to make its handles inert, and the next life begins after `down_time`. Work that ends by
    /// itself is over, too.
    pub async fn run<F: Future<Output = ()>>(
        &self,
        down_time: Duration,
        work: impl Fn(Life) -> F,
        losses: impl Fn(&Life),
    ) {
        loop {
            let life = Life::default();
            let generation = {
                let mut current = self.current();
                current.generation += 1;
                current.life = life.clone();
                current.generation
            };
            self.world.chronicle().note(self.name, "start", "", &generation.to_string());
            let mut running = Box::pin(work(life.clone()));
            life.while_it_lasts(&mut running).await;
            life.end();
            losses(&life);
            drop(running);
            self.world.seams().clock.sleep(down_time).await;
        }
    }

    fn current(&self) -> std::sync::MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
