//! Rejected messages: moved whole, with headers that say where they came from and why.

use std::time::Duration;

use bus::SettleOutcome;
use bus::dead_letter::{self, Rejection};
use jiff::Timestamp;

use crate::arrival::{Arrival, Target};
use crate::broker::Broker;
use crate::ledger::{Entries, Row};
use crate::queue::{Buried, Draft, LaneKey, Load, Queue};
use crate::topology::Queues;

/// Graves reserved for the rejects of one batch.
///
/// A settlement does not wait for room: what finds no grave stays with its queue, and is delivered
/// again when its lease ends.
pub(crate) struct Burial {
    graves: Queues,
    count: usize,
}

impl Burial {
    /// Reserves at most `wanted_count` graves, on each queue of the dead letters.
    pub(crate) fn reserve(graves: Queues, wanted_count: usize) -> Self {
        let mut burial = Self { graves, count: wanted_count };
        for (index, queue) in burial.graves.iter().enumerate() {
            let found = queue.room().reserve_some(burial.count);
            for earlier in &burial.graves[..index] {
                earlier.room().release(Load { count: burial.count - found, bytes: 0 });
            }
            burial.count = found;
        }
        if burial.count < wanted_count {
            let destination = burial.graves.first().map(|queue| queue.subscription().to_string());
            tracing::warn!(destination, "the dead letters are full: what is rejected now stays and comes again");
        }
        burial
    }

    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Moves `buried` from `origin` to the dead letters, in one write where there is a ledger, and
    /// tells in `outcomes` whose move failed.
    pub(crate) async fn bury(
        mut self,
        buried: Vec<Buried>,
        origin: &Queue,
        broker: &Broker,
        outcomes: &mut [SettleOutcome],
    ) {
        let indexes: Vec<usize> = buried.iter().map(|one| one.index).collect();
        let mut moved = Entries::default();
        let now = broker.seams.clock.wall();
        let drafts: Vec<Draft> = buried
            .into_iter()
            .map(|one| {
                moved.delete(origin.number(), one.row);
                dead(one, origin, now)
            })
            .collect();
        if drafts.is_empty() {
            return;
        }
        let bytes = drafts.iter().map(|draft| draft.bytes).sum();
        for grave in self.graves.iter() {
            grave.room().add(Load { count: 0, bytes });
        }
        self.count -= drafts.len();
        let arrival = Arrival::reserved(Target { queues: Queues::clone(&self.graves), drafts });
        if let Err(error) = arrival.land(broker.ledger.as_ref(), moved, &broker.seams).await {
            for index in indexes {
                outcomes[index] = SettleOutcome::Failed(bus::Error::new(error.kind(), "settle", error.to_string()));
            }
        }
    }
}

impl Drop for Burial {
    fn drop(&mut self) {
        for grave in self.graves.iter().filter(|_| self.count > 0) {
            grave.room().release(Load { count: self.count, bytes: 0 });
        }
    }
}

fn dead(buried: Buried, origin: &Queue, now: Timestamp) -> Draft {
    let Buried { mut message, reason, receive_count, .. } = buried;
    let rejection = Rejection { subscription: origin.subscription(), reason: &reason, receive_count, at: now };
    dead_letter::mark(&mut message, &rejection);
    let (bytes, lane) = (message.size_bytes(), LaneKey::of(message.key()));
    Draft { message, bytes, lane, delay: Duration::ZERO, row: Row::default() }
}
