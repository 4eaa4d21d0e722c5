//! From a directory to an open store, step by step.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use crate::error::OpenError;
use crate::lock::Lock;
use crate::options::Options;
use crate::queue::panic_message;
use crate::store::Store;
use crate::watermark::{self, Watermark};
use crate::{damage, leftovers};

/// sled's unit of allocation. A page longer than a quarter of it goes to a file that sled does not
/// sync; at eight times the default, none is: see [`VALUE_BYTES_MAX`](crate::VALUE_BYTES_MAX).
/// It is part of the format on disk.
pub(crate) const SEGMENT_BYTES: usize = 4 * 1024 * 1024;

/// Opens or creates the store in `dir`.
///
/// Until the last step nothing was acknowledged by this open, and what was acknowledged by earlier
/// ones is only read; so a kill at any point leaves what the next open can deal with.
pub(crate) fn open_store(dir: &Path, options: &Options) -> Result<Store, OpenError> {
    fs::create_dir_all(dir).map_err(OpenError::io(dir, "creating the directory"))?;
    let lock = Lock::take(dir, &options.holder)?;

    leftovers::remove(dir).map_err(OpenError::io(dir, "removing leftovers"))?;
    let noted = watermark::noted(&watermark_path(dir)).map_err(OpenError::io(dir, "reading the count of groups"))?;
    let damage = damage::find(dir, noted.is_some()).map_err(OpenError::io(dir, "looking for damage"))?;
    if let Some(reason) = damage {
        return Err(OpenError::damaged(dir, reason));
    }

    let db = open_sled(dir, options.cache_bytes)?;
    let counted = watermark::counted(&db).map_err(|error| refusal(dir, error))?;
    if let Some(noted) = noted
        && counted < noted
    {
        let reason = format!("{noted} groups of changes were acknowledged, {counted} are found");
        return Err(OpenError::damaged(dir, reason));
    }

    db.flush().map_err(|error| refusal(dir, error))?;
    let data = sync_files(dir).map_err(OpenError::io(dir, "syncing the new files"))?;
    let watermark = Watermark::start(&db, &watermark_path(dir), counted)
        .map_err(OpenError::io(dir, "writing the count of groups"))?;
    sync_directories(dir).map_err(OpenError::io(dir, "syncing the directory"))?;

    let store = Store::new(db, data, watermark, lock);
    #[cfg(test)]
    let store = store.with_before_sync(options.before_sync.clone());
    Ok(store)
}

fn open_sled(dir: &Path, cache_bytes: u64) -> Result<sled::Db, OpenError> {
    let config = sled::Config::new()
        .path(dir)
        .cache_capacity(cache_bytes)
        .segment_size(SEGMENT_BYTES)
        // sled's own thread only logs a failed sync. The committer owns the syncs.
        .flush_every_ms(None);
    // Unwind safe: nothing outlives a panic. sled asserts what it should check when it reads a
    // damaged file.
    match catch_unwind(AssertUnwindSafe(|| config.open())) {
        Ok(opened) => opened.map_err(|error| refusal(dir, error)),
        Err(panic) => Err(OpenError::damaged(dir, panic_message(&*panic))),
    }
}

fn refusal(dir: &Path, error: sled::Error) -> OpenError {
    match error {
        // A file shorter than sled knows it to be is damage, not a refusal of the system.
        sled::Error::Io(error) if error.kind() != ErrorKind::UnexpectedEof => OpenError::io(dir, "opening sled")(error),
        error => OpenError::damaged(dir, error.to_string()),
    }
}

/// Syncs what sled creates and does not sync, and returns its data file.
fn sync_files(dir: &Path) -> io::Result<File> {
    File::open(dir.join("conf"))?.sync_all()?;
    let data = File::options().read(true).write(true).open(dir.join("db"))?;
    data.sync_all()?;
    Ok(data)
}

/// Syncs the entries of the new files, and the directory's own in its parent.
fn sync_directories(dir: &Path) -> io::Result<()> {
    let dir = fs::canonicalize(dir)?;
    sync_directory(&dir.join("blobs"))?;
    sync_directory(&dir)?;
    match dir.parent().map_or(Ok(()), sync_directory) {
        // A parent that we may enter but not list was made by somebody else, and long ago.
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(()),
        outcome => outcome,
    }
}

/// Elsewhere than on Unix a directory cannot be opened as a file, and its entries need no sync.
fn sync_directory(dir: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(dir)?.sync_all() } else { Ok(()) }
}

fn watermark_path(dir: &Path) -> PathBuf {
    dir.join("GROUPS")
}
