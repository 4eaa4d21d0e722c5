//! The handle: what tasks call.

use std::path::Path;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::{self, JoinHandle};

use tokio::sync::oneshot;

use crate::committer;
use crate::error::{Error, OpenError};
use crate::open::open_store;
use crate::options::Options;
use crate::progress::{Commits, Progress};
use crate::queue::{self, Request};
use crate::view::View;
use crate::write::Write;

/// An open journal. Clones are the same journal; the last one dropped closes it, and blocks until
/// what was queued is on disk. [`Journal::close`] does the same without blocking.
#[derive(Clone, Debug)]
pub struct Journal {
    handle: Arc<Handle>,
}

#[derive(Debug)]
struct Handle {
    requests: Sender<Request>,
    progress: Arc<Progress>,
    /// Weak, so that the committer alone decides when sled is closed.
    db: Weak<sled::Db>,
    committer: Mutex<Option<JoinHandle<()>>>,
}

impl Journal {
    /// Opens or creates the journal in `dir`. Blocks on the disk: call it at start-up.
    ///
    /// `Ok` promises that everything ever acknowledged in this directory can be read, that a kill
    /// from here on leaves a directory which opens again, and that nobody else has it open.
    ///
    /// # Errors
    ///
    /// [`OpenError::Held`] if the directory is in use, [`OpenError::Damaged`] if acknowledged data
    /// is missing or unreadable, [`OpenError::Io`] if the system refuses.
    #[expect(clippy::needless_pass_by_value, reason = "options are made for one open")]
    pub fn open(dir: &Path, options: Options) -> Result<Self, OpenError> {
        let store = open_store(dir, &options)?;
        let db = store.reader();
        let progress = Arc::new(Progress::new());
        let (requests, committer) =
            committer::start(store, Arc::clone(&progress)).map_err(OpenError::io(dir, "starting the committer"))?;
        let committer = Mutex::new(Some(committer));
        Ok(Self { handle: Arc::new(Handle { requests, progress, db, committer }) })
    }

    /// Reads and writes in one step: `change` looks through the view, and returns what to write
    /// and a result.
    ///
    /// `Ok` promises that the write is on disk, and with it everything the change could see; that
    /// holds for an empty write too. Changes run one after the other on the committer's thread, so
    /// `change` should be quick and must not wait for the journal.
    ///
    /// # Errors
    ///
    /// [`Error::TooLarge`] and [`Error::Panicked`] concern this change alone, which was not made.
    /// [`Error::Closed`]: it was not made. [`Error::Failed`]: it may be found at the next start.
    ///
    /// # Cancellation
    ///
    /// Once polled, dropping the future takes nothing back: the change is made and nobody is told.
    pub async fn commit<R: Send + 'static>(
        &self,
        change: impl FnOnce(&View<'_>) -> (Write, R) + Send + 'static,
    ) -> Result<R, Error> {
        let (caller, answer) = oneshot::channel();
        self.send(Request::Change(queue::change(change, caller)))?;
        match answer.await {
            Ok(outcome) => outcome,
            // Dropped without an answer: the committer is ending, and will say how.
            Err(_) => Err(self.progress().ended().await.err().unwrap_or(Error::Closed)),
        }
    }

    /// Queues a write that nobody waits for.
    ///
    /// `Ok` promises that it is applied in order with all other changes and shares the sync of its
    /// group; a kill before that may lose it. The queue has no limit of its own: it is meant for
    /// writes that are bounded by something else, as acknowledgements are by deliveries.
    ///
    /// # Errors
    ///
    /// [`Error::TooLarge`], [`Error::Closed`] and [`Error::Failed`], as for [`Journal::commit`]; a
    /// later failure shows in [`Journal::failed`] only.
    pub fn commit_later(&self, write: Write) -> Result<(), Error> {
        write.check()?;
        self.send(Request::Later(write))
    }

    /// Resolves when the journal has failed for good, at once if it already has; the owner should
    /// then stop the process. Stays pending after an orderly [`Journal::close`].
    ///
    /// # Cancellation
    ///
    /// Safe: it only looks.
    pub async fn failed(&self) -> Error {
        self.handle.progress.failed().await
    }

    /// What was synced so far: how well changes share syncs. Answers from memory.
    #[must_use]
    pub fn commits(&self) -> Commits {
        self.progress().commits()
    }

    /// Closes the journal for all its clones. Calling it again is no error.
    ///
    /// `Ok` promises that everything queued before is on disk, that the committer's thread has
    /// ended, and that the directory is free for the next opener.
    ///
    /// # Errors
    ///
    /// [`Error::Failed`] if the journal failed, before or while closing.
    ///
    /// # Cancellation
    ///
    /// Once polled, the journal closes in any case.
    pub async fn close(&self) -> Result<(), Error> {
        self.handle.stop();
        self.handle.progress.ended().await?;
        self.handle.join();
        Ok(())
    }

    pub(crate) fn progress(&self) -> &Progress {
        &self.handle.progress
    }

    /// sled, for the length of one read; holding it longer would delay closing.
    pub(crate) fn db(&self) -> Result<Arc<sled::Db>, Error> {
        self.handle.db.upgrade().ok_or_else(|| self.progress().end())
    }

    pub(crate) fn send(&self, request: Request) -> Result<(), Error> {
        self.handle.requests.send(request).map_err(|_| self.progress().end())
    }
}

impl Handle {
    fn stop(&self) {
        // Nobody there: the committer has already ended.
        drop(self.requests.send(Request::Stop));
    }

    /// Waits for the thread, which was told to stop and so ends after what is queued.
    fn join(&self) {
        let thread = self.committer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread
            // A change that owned the last handle drops it on the committer's own thread.
            && thread.thread().id() != thread::current().id()
            && thread.join().is_err()
        {
            tracing::error!("the journal's committer panicked while ending");
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.stop();
        self.join();
    }
}
