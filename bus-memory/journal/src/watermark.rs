//! How many groups were acknowledged, in a file beside sled's own: what sled has forgotten shows.
//!
//! sled takes unreadable bytes for the torn end of its log and starts from what is before them. That
//! is right after a crash and wrong after damage, and sled cannot tell the two apart. So each group
//! is counted twice: in the tree before its sync, and in this file after it. The tree can be ahead,
//! by the group that was being acknowledged; it can never be behind. The file is not synced, as an
//! older count is still a true one.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write as _};
use std::path::Path;

const KEY: &[u8] = b"groups";

/// The count, and its two places.
#[derive(Debug)]
pub(crate) struct Watermark {
    group_count: u64,
    /// Apart from the users' tree, so that their keys are theirs.
    tree: sled::Tree,
    file: File,
}

/// The acknowledged count of a directory. `None`: nothing was ever acknowledged there, as the file
/// is made, and synced, before the first open returns.
pub(crate) fn noted(path: &Path) -> io::Result<Option<u64>> {
    let mut bytes = Vec::new();
    match File::open(path) {
        Ok(mut file) => file.read_to_end(&mut bytes)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    // Shorter: made, but never written; no open returned either.
    Ok(bytes.first_chunk().map(|bytes| u64::from_le_bytes(*bytes)))
}

/// The count in the tree; zero if there is none.
pub(crate) fn counted(db: &sled::Db) -> sled::Result<u64> {
    let bytes = db.open_tree("journal")?.get(KEY)?;
    Ok(bytes.and_then(|bytes| bytes.first_chunk().copied()).map_or(0, u64::from_le_bytes))
}

impl Watermark {
    /// Goes on from `group_count`, and syncs it with the file.
    pub(crate) fn start(db: &sled::Db, path: &Path, group_count: u64) -> io::Result<Self> {
        let file = File::options().create(true).truncate(false).write(true).open(path)?;
        let mut watermark = Self { group_count, tree: db.open_tree("journal")?, file };
        watermark.note()?;
        watermark.file.sync_all()?;
        Ok(watermark)
    }

    /// Counts one more group in the tree.
    pub(crate) fn raise(&mut self) -> sled::Result<()> {
        self.group_count += 1;
        self.tree.insert(KEY, &self.group_count.to_le_bytes())?;
        Ok(())
    }

    /// Notes in the file that the count in the tree is on disk.
    pub(crate) fn note(&mut self) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(&self.group_count.to_le_bytes())
    }
}
