//! Messages on their way to be visible: room reserved, written down where there is a ledger, then
//! put on their queues.

use std::sync::Arc;

use bus::{Result, Seams};

use crate::ledger::{Entries, Ledger};
use crate::queue::{Closed, Draft, Load, Queue};
use crate::topology::Queues;

/// What one destination gets.
pub(crate) struct Target {
    /// Each of them gets every draft.
    pub(crate) queues: Queues,
    pub(crate) drafts: Vec<Draft>,
}

/// Messages with room reserved. Dropping it gives the room back.
pub(crate) struct Arrival {
    targets: Vec<Target>,
    reserved: Vec<(Arc<Queue>, Load)>,
}

impl Arrival {
    /// Waits for room on every queue, in the order of their numbers: publishers of overlapping
    /// batches cannot wait for each other in a circle.
    pub(crate) async fn reserve(targets: Vec<Target>) -> Result<Self, Closed> {
        let needs = targets.iter().flat_map(|target| {
            let load = load_of(&target.drafts);
            target.queues.iter().map(move |queue| (Arc::clone(queue), load))
        });
        let mut needs: Vec<(Arc<Queue>, Load)> = needs.collect();
        needs.sort_by_key(|(queue, _)| queue.number());
        let mut arrival = Self { targets, reserved: Vec::with_capacity(needs.len()) };
        for (queue, load) in needs {
            queue.room().reserve(load).await?;
            arrival.reserved.push((queue, load));
        }
        Ok(arrival)
    }

    /// Messages whose room, as counted here, was reserved by other means.
    pub(crate) fn reserved(target: Target) -> Self {
        let load = load_of(&target.drafts);
        let reserved = target.queues.iter().map(|queue| (Arc::clone(queue), load)).collect();
        Self { targets: vec![target], reserved }
    }

    /// Makes the messages visible, after they and `also` were written to the ledger in one write.
    ///
    /// Dropped while the ledger writes: the write goes on, so the messages are visible at once
    /// instead of after a restart.
    ///
    /// # Errors
    /// Those of [`Ledger::commit`]; nothing is visible then.
    pub(crate) async fn land(mut self, ledger: Option<&Ledger>, also: Entries, seams: &Seams) -> Result<()> {
        let Some(ledger) = ledger else {
            self.put_on_queues();
            return Ok(());
        };
        let entries = self.write(ledger, also, seams);
        let mut landing = Landing(Some(self));
        let written = ledger.commit(entries, "publish").await;
        if written.is_err() {
            landing.0 = None;
        }
        written
    }

    fn write(&mut self, ledger: &Ledger, mut entries: Entries, seams: &Seams) -> Entries {
        for Target { queues, drafts } in &mut self.targets {
            for draft in drafts {
                let due = (!draft.delay.is_zero()).then(|| due_milliseconds(seams, draft.delay));
                let number = ledger.next_number();
                for queue in queues.iter() {
                    draft.row = entries.put(queue.number(), number, &draft.message, due);
                }
            }
        }
        entries
    }

    fn put_on_queues(&mut self) {
        // From here on the room is given back by settlements.
        self.reserved.clear();
        for Target { queues, drafts } in self.targets.drain(..) {
            let Some((last, others)) = queues.split_last() else { continue };
            for queue in others {
                queue.accept(drafts.clone());
            }
            last.accept(drafts);
        }
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        for (queue, load) in self.reserved.drain(..) {
            queue.room().release(load);
        }
    }
}

/// An arrival whose write is under way: it arrives whatever becomes of the caller.
struct Landing(Option<Arrival>);

impl Drop for Landing {
    fn drop(&mut self) {
        if let Some(arrival) = &mut self.0 {
            arrival.put_on_queues();
        }
    }
}

/// Calendar time in milliseconds, as a restart finds another monotonic clock; rounded up, as a
/// message must not come early.
fn due_milliseconds(seams: &Seams, delay: std::time::Duration) -> i64 {
    let delay = i64::try_from(delay.as_millis()).unwrap_or(i64::MAX);
    seams.clock.wall().as_millisecond().saturating_add(delay).saturating_add(1)
}

fn load_of(drafts: &[Draft]) -> Load {
    Load { count: drafts.len(), bytes: drafts.iter().map(|draft| draft.bytes).sum() }
}
