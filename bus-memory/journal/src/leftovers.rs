//! What a kill during start-up leaves behind, and sled would refuse to open.

use std::fs;
use std::io;
use std::path::Path;

use crate::damage::{crc32, file_bytes};

/// Removes it. Call with the directory locked and sled not yet open.
pub(crate) fn remove(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name();
        if is_unfinished_snapshot(&name.to_string_lossy()) {
            tracing::warn!(file = ?name, "removing a snapshot that a killed start left unfinished");
            fs::remove_file(dir.join(name))?;
        }
    }
    let conf = dir.join("conf");
    if conf.try_exists()? && !is_whole_conf(&conf)? && file_bytes(&dir.join("db"))? == 0 {
        tracing::warn!(file = "conf", "removing the settings that a killed first start left unfinished");
        fs::remove_file(conf)?;
    }
    Ok(())
}

/// sled writes a snapshot to `snap.<lsn>.generating`, syncs it and renames it to `snap.<lsn>`, and
/// only then removes the one before. Killed in between, it takes the unfinished one for the newest
/// and finds it corrupt (sled#1527, sled#1533). Without it the one before is the newest again, and
/// everything since is in the log: nothing is lost.
fn is_unfinished_snapshot(name: &str) -> bool {
    name.starts_with("snap.") && name.ends_with(".generating")
}

/// sled writes its settings, `conf`, in two steps, the text and its checksum; killed in between,
/// it finds the text cut short and refuses.
///
/// Such a store holds no data: sled writes `conf` once, at the first start, and makes `db` only
/// after that. So a `conf` that was never finished comes with no `db`, or, where the disk has
/// forgotten the settings in a power cut, with a `db` that must not be touched; the caller asks
/// for its length, and leaves the rest to [`crate::damage`].
pub(crate) fn is_whole_conf(path: &Path) -> io::Result<bool> {
    let bytes = fs::read(path)?;
    Ok(bytes.split_last_chunk().is_some_and(|(text, crc)| !text.is_empty() && crc32(text) == u32::from_le_bytes(*crc)))
}
