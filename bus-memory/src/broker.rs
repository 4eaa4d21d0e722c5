//! What the bus and its receivers share.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use bus::capability::Durability;
use bus::{BusState, Capability, Declaration, Result, Seams};

use crate::MemoryOptions;
use crate::ledger::{Entries, Ledger};
use crate::queue::{Queue, State};
use crate::refusal;
use crate::topology::Topology;

/// Seams, options, topology and ledger.
pub(crate) struct Broker {
    pub(crate) seams: Seams,
    pub(crate) options: MemoryOptions,
    pub(crate) capability: Capability,
    /// Where accepted messages are kept on disk, if they are.
    pub(crate) ledger: Option<Ledger>,
    topology: RwLock<Topology>,
    /// One declaration at a time: a plan is made, written and applied.
    declaring: tokio::sync::Mutex<()>,
}

impl Broker {
    pub(crate) fn new(seams: Seams, options: MemoryOptions, ledger: Option<Ledger>, topology: Topology) -> Self {
        let durability = if ledger.is_some() { Durability::Disk } else { Durability::Volatile };
        let capability = options.capability(durability);
        Self {
            seams,
            options,
            capability,
            ledger,
            topology: RwLock::new(topology),
            declaring: tokio::sync::Mutex::new(()),
        }
    }

    pub(crate) fn topology(&self) -> RwLockReadGuard<'_, Topology> {
        self.topology.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) async fn declare(&self, declarations: &[Declaration]) -> Result<()> {
        let _one_at_a_time = self.declaring.lock().await;
        let records = {
            let topology = self.topology();
            if topology.is_closed {
                return Err(refusal::closed("declare"));
            }
            topology.plan(declarations, &self.options)?
        };
        if records.is_empty() {
            return Ok(());
        }
        if let Some(ledger) = &self.ledger {
            let mut entries = Entries::default();
            for record in &records {
                entries.declare(record)?;
            }
            ledger.commit(entries, "declare").await?;
        }
        let mut topology = self.topology.write().unwrap_or_else(PoisonError::into_inner);
        if topology.is_closed {
            return Err(refusal::closed("declare"));
        }
        topology.apply(&records, &self.seams, &self.options);
        Ok(())
    }

    /// Sends every publisher and receiver away. False: that has been done before.
    pub(crate) fn close(&self) -> bool {
        let queues: Vec<Arc<Queue>> = {
            let mut topology = self.topology.write().unwrap_or_else(PoisonError::into_inner);
            if std::mem::replace(&mut topology.is_closed, true) {
                return false;
            }
            topology.queues()
        };
        for queue in queues {
            queue.room().close();
            queue.with(State::close_all);
        }
        true
    }

    pub(crate) fn require_open(&self, operation: &'static str) -> Result<()> {
        if self.topology().is_closed { Err(refusal::closed(operation)) } else { Ok(()) }
    }

    pub(crate) fn state(&self) -> BusState {
        if let Some(failure) = self.ledger.as_ref().and_then(Ledger::failure) {
            return BusState::Down(format!("{failure}; restart the process"));
        }
        let topology = self.topology();
        if topology.is_closed {
            return BusState::Down("the bus is closed".to_owned());
        }
        match topology.queues().iter().find(|queue| queue.room().is_full()) {
            Some(queue) => BusState::Degraded(format!("{} is full; publishers wait", queue.subscription())),
            None => BusState::Up,
        }
    }
}
