//! What sled would take for an empty store, and is not.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::path::Path;

use crate::leftovers::is_whole_conf;
use crate::open::SEGMENT_BYTES;

/// sled's head of a segment: a checksum of 4 bytes, then what it covers.
const HEAD_BYTES: usize = 20;

/// Looks, without changing anything, for damage that sled does not see. The answer is the reason
/// not to open, if there is one.
///
/// `is_used`: an open of this directory has returned before, so `conf` and `db` were on disk.
pub(crate) fn find(dir: &Path, is_used: bool) -> io::Result<Option<&'static str>> {
    let data = dir.join("db");
    let data_bytes = file_bytes(&data)?;
    // Where no open has returned, a `db` without a whole head is a first start that was killed.
    if data_bytes < HEAD_BYTES as u64 {
        return Ok(is_used.then_some("its data file `db` is missing or empty"));
    }
    let conf = dir.join("conf");
    if !(conf.try_exists()? && is_whole_conf(&conf)?) {
        return Ok(Some("its settings file `conf` is missing or unreadable, but there is data"));
    }
    if !has_readable_segment(&data, data_bytes)? {
        return Ok(Some("nothing in its data file `db` is readable"));
    }
    Ok(None)
}

/// The length of a file, in bytes; zero if there is none.
pub(crate) fn file_bytes(path: &Path) -> io::Result<u64> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(metadata.len()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error),
    }
}

/// sled skips segments whose head is unreadable, as freed ones are, and starts empty when all are.
fn has_readable_segment(path: &Path, data_bytes: u64) -> io::Result<bool> {
    let mut file = File::open(path)?;
    let mut offset = 0;
    while offset + HEAD_BYTES as u64 <= data_bytes {
        let mut head = [0; HEAD_BYTES];
        file.seek(SeekFrom::Start(offset))?;
        file.read_exact(&mut head)?;
        if let Some((crc, covered)) = head.split_first_chunk()
            && crc32(covered) ^ u32::MAX == u32::from_le_bytes(*crc)
        {
            return Ok(true);
        }
        offset += SEGMENT_BYTES as u64;
    }
    Ok(false)
}

/// CRC-32 as sled uses it (IEEE), a bit at a time: it sees some dozens of bytes for each open.
pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    let crc = bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ if crc & 1 == 1 { 0xEDB8_8320 } else { 0 })
    });
    !crc
}
