//! sled, and the syncs it leaves to others.

use std::fs::File;
use std::io;
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use crate::error::Error;
use crate::lock::Lock;
use crate::pending::Pending;
use crate::watermark::Watermark;

/// sled closes within microseconds; a disk that takes ten seconds is broken.
const RELEASE_TRIES_MAX: usize = 10_000;
const RELEASE_PAUSE: Duration = Duration::from_millis(1);

/// What the committer owns: the only strong reference to sled, and the lock on the directory.
#[derive(Debug)]
pub(crate) struct Store {
    /// Readers hold weak references, so closing needs no word with them.
    db: Arc<sled::Db>,
    /// sled's data file, by a descriptor of our own. An error of writing back is reported once to
    /// each descriptor, so sled's own syncs cannot take ours away.
    data: File,
    watermark: Watermark,
    lock: Lock,
    #[cfg(test)]
    before_sync: BeforeSync,
}

impl Store {
    pub(crate) fn new(db: sled::Db, data: File, watermark: Watermark, lock: Lock) -> Self {
        Self {
            db: Arc::new(db),
            data,
            watermark,
            lock,
            #[cfg(test)]
            before_sync: BeforeSync::default(),
        }
    }

    #[cfg(test)]
    pub(crate) fn with_before_sync(mut self, before_sync: BeforeSync) -> Self {
        self.before_sync = before_sync;
        self
    }

    pub(crate) fn tree(&self) -> &sled::Tree {
        &self.db
    }

    pub(crate) fn reader(&self) -> Weak<sled::Db> {
        Arc::downgrade(&self.db)
    }

    /// Makes the writes of a group visible. They are not durable before [`Store::sync`].
    pub(crate) fn apply(&self, pending: Pending) -> Result<(), Error> {
        let key_count = pending.key_count();
        self.db
            .apply_batch(pending.into_batch())
            .and_then(|()| self.collect_garbage(key_count))
            .map_err(|error| Error::failed("applying a group", &error))
    }

    /// Reads once for each key written, for what sled does on the side.
    ///
    /// sled frees memory, and learns which segments of its file it may reuse, by epochs: every
    /// 128th operation of a thread frees up to eight bags of 64 leftovers. A batch is one such
    /// operation but leaves several bags, so batches of more than some 500 keys outrun the
    /// freeing: measured, 300 MB written to 500 live keys made the process and the file grow by as
    /// much. A read leaves nothing and counts.
    fn collect_garbage(&self, key_count: usize) -> sled::Result<()> {
        (0..key_count).try_for_each(|_| self.db.get([]).map(drop))
    }

    /// Puts everything applied on disk.
    pub(crate) fn sync(&mut self) -> Result<(), Error> {
        self.watermark.raise().map_err(|error| Error::failed("counting a group", &error))?;
        // `flush` hands sled's buffers to the kernel (on Linux by `sync_file_range`, which leaves
        // the disk's cache and the file's length alone); `sync_data` does the rest. Never
        // `flush_async`: seven concurrent calls deadlock (sled#1308).
        self.db.flush().map_err(|error| Error::failed("flushing the journal", &error))?;
        self.sync_data().map_err(|error| Error::failed("syncing the journal", &error))?;
        self.watermark.note().map_err(|error| Error::failed("noting a group", &error))
    }

    fn sync_data(&self) -> io::Result<()> {
        #[cfg(test)]
        self.before_sync.call()?;
        self.data.sync_data()
    }

    /// Drops sled and waits until it has let go of its files, so that the next open finds them
    /// free: its worker threads keep them open until their last buffer is written.
    pub(crate) fn close(self) {
        let Self { db, data, watermark, lock, .. } = self;
        drop((db, watermark));
        // sled holds an advisory lock on the data file exactly as long as it has it open.
        let is_free = (0..RELEASE_TRIES_MAX).any(|_| {
            let is_free = data.try_lock().is_ok();
            if !is_free {
                thread::park_timeout(RELEASE_PAUSE);
            }
            is_free
        });
        if !is_free {
            tracing::warn!("sled still has its data file open: the next open may find it in use");
        }
        // Both locks are released, in this order.
        drop((data, lock));
    }
}

/// Called between the write and the sync, so that tests can hold or break the sync.
#[cfg(test)]
#[derive(Clone, Default)]
pub(crate) struct BeforeSync(pub(crate) Option<Arc<dyn Fn() -> io::Result<()> + Send + Sync>>);

#[cfg(test)]
impl BeforeSync {
    fn call(&self) -> io::Result<()> {
        self.0.as_ref().map_or(Ok(()), |hook| hook())
    }
}

#[cfg(test)]
impl std::fmt::Debug for BeforeSync {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BeforeSync")
    }
}
