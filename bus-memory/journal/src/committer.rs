//! The one thread that writes: drains the queue, applies, syncs once, answers all.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{Builder, JoinHandle};

use crate::error::Error;
use crate::pending::Pending;
use crate::progress::Progress;
use crate::queue::{Answer, Change, Request, panic_message};
use crate::store::Store;
use crate::view::View;

/// The most changes that share one sync. It bounds how long the first of them waits; a sync takes
/// as long as applying a few hundred, so a larger group would gain little.
pub const GROUP_CHANGES_MAX: usize = 1_024;

/// A group is closed once it has written this much, so that its batch stays within a segment or
/// two of sled's log.
const GROUP_BYTES: usize = 1024 * 1024;

/// Starts the thread. It ends when told to stop, when the disk fails, or when no sender is left.
pub(crate) fn start(store: Store, progress: Arc<Progress>) -> io::Result<(Sender<Request>, JoinHandle<()>)> {
    let (sender, receiver) = channel();
    let thread = Builder::new().name("journal-committer".to_owned()).spawn(move || run(store, receiver, &progress))?;
    Ok((sender, thread))
}

fn run(mut store: Store, requests: Receiver<Request>, progress: &Progress) {
    // Unwind safe: after a panic the store is only closed, and everyone gets the error.
    let outcome = catch_unwind(AssertUnwindSafe(|| commit_groups(&mut store, &requests, progress)))
        .unwrap_or_else(|panic| Err(Error::failed("committing", &panic_message(&*panic))));
    if let Err(error) = outcome {
        tracing::error!(%error, "the journal has failed and takes no more changes");
        progress.fail(error);
    }
    // Before closing: on a broken disk that can take long, and the callers should not wait for it.
    drop(requests);
    store.close();
    progress.close();
}

/// Commits group after group, until told to stop.
fn commit_groups(store: &mut Store, requests: &Receiver<Request>, progress: &Progress) -> Result<(), Error> {
    let mut goes_on = true;
    while goes_on && let Ok(first) = requests.recv() {
        let mut group = Group::default();
        goes_on = group.take(first, requests, store)?;
        group.settle(store, progress)?;
    }
    Ok(())
}

/// Changes that share one batch and one sync. Dropped without [`Group::settle`], its callers find
/// their channel closed and wait for [`Progress::ended`] to say why.
#[derive(Default)]
struct Group {
    pending: Pending,
    change_count: u64,
    answers: Vec<(Answer, Result<(), Error>)>,
}

impl Group {
    /// Runs `first` and what is queued behind it. False: the last of it was the order to stop.
    fn take(&mut self, first: Request, requests: &Receiver<Request>, store: &Store) -> Result<bool, Error> {
        let queued = std::iter::once(first).chain(requests.try_iter());
        for request in queued.take(GROUP_CHANGES_MAX) {
            self.change_count += u64::from(matches!(request, Request::Change(_) | Request::Later(_)));
            match request {
                Request::Change(change) => self.run(change, store)?,
                Request::Later(write) => self.pending.add(write),
                Request::Fail(error) => return Err(error),
                Request::Stop => return Ok(false),
            }
            if self.pending.bytes() >= GROUP_BYTES {
                break;
            }
        }
        Ok(true)
    }

    fn run(&mut self, change: Change, store: &Store) -> Result<(), Error> {
        let view = View::new(store.tree(), &self.pending);
        let (write, answer) = change(&view);
        if let Some(error) = view.into_failure() {
            return Err(Error::failed("reading", &error));
        }
        let outcome = write.check();
        if outcome.is_ok() {
            self.pending.add(write);
        }
        self.answers.push((answer, outcome));
        Ok(())
    }

    /// Writes, syncs and answers. A group that wrote nothing has read only what earlier groups
    /// have synced.
    fn settle(self, store: &mut Store, progress: &Progress) -> Result<(), Error> {
        if !self.pending.is_empty() {
            progress.begin_group();
            store.apply(self.pending)?;
            progress.end_group();
            store.sync()?;
            progress.all_durable(self.change_count);
        }
        for (answer, outcome) in self.answers {
            answer(outcome);
        }
        Ok(())
    }
}
