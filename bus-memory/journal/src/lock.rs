//! One holder for each directory.

use std::fs::{File, TryLockError};
use std::io::{self, Read, Write as _};
use std::path::Path;

use crate::error::OpenError;

/// The lock on a directory: an advisory lock on the file `LOCK`, which the system takes back when
/// the process ends, however it ends. The file itself stays; removing it would let two openers
/// lock two files of the same name.
#[derive(Debug)]
pub(crate) struct Lock {
    file: File,
}

impl Lock {
    /// Takes the lock, and leaves word in the file of who has it.
    pub(crate) fn take(dir: &Path, holder: &str) -> Result<Self, OpenError> {
        let mut file = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(dir.join("LOCK"))
            .map_err(OpenError::io(dir, "opening the lock file"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(OpenError::Held { dir: dir.to_owned(), holder: read_holder(&mut file) });
            }
            Err(TryLockError::Error(error)) => {
                return Err(OpenError::io(dir, "locking the lock file")(error));
            }
        }
        write_holder(&mut file, holder).map_err(OpenError::io(dir, "writing the lock file"))?;
        Ok(Self { file })
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing alone would not do while a child, just forked by another thread, has a copy.
        if let Err(error) = self.file.unlock() {
            tracing::warn!(%error, "could not release the journal's lock");
        }
    }
}

fn write_holder(file: &mut File, holder: &str) -> io::Result<()> {
    file.set_len(0)?;
    file.write_all(format!("process {} ({holder})\n", std::process::id()).as_bytes())
}

/// What the holder wrote. It may be in the midst of writing, or the system may keep it to itself.
fn read_holder(file: &mut File) -> String {
    let mut holder = String::new();
    match file.read_to_string(&mut holder) {
        Ok(_) if !holder.trim().is_empty() => holder.trim().to_owned(),
        Ok(_) | Err(_) => "another process".to_owned(),
    }
}
