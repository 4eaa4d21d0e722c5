//! What can go wrong, by kind.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why a call on an open [`Journal`](crate::Journal) has no result.
///
/// It is `Clone` because one failed sync answers a whole group of callers.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Error {
    /// A key or value is longer than the journal stores. Nothing of that change was written; the
    /// journal goes on.
    TooLarge {
        /// `key` or `value`.
        what: &'static str,
        /// The length found, in bytes.
        bytes: usize,
        /// The longest allowed, in bytes.
        bytes_max: usize,
    },
    /// The closure given to [`Journal::commit`](crate::Journal::commit) panicked. Nothing of that
    /// change was written; the journal goes on.
    Panicked {
        /// What the panic said.
        message: Arc<str>,
    },
    /// The journal was closed, by [`Journal::close`](crate::Journal::close). The change was not
    /// made.
    Closed,
    /// The disk failed. Whether the change is found at the next start is unknown; the journal
    /// answers nothing but this error from now on.
    Failed {
        /// What was being done, such as `syncing the journal`.
        action: &'static str,
        /// What the system said.
        reason: Arc<str>,
    },
}

impl Error {
    pub(crate) fn failed(action: &'static str, reason: &dyn fmt::Display) -> Self {
        Self::Failed { action, reason: reason.to_string().into() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { what, bytes, bytes_max } => {
                write!(f, "a {what} of {bytes} bytes is too large to store, the limit is {bytes_max} bytes")
            }
            Self::Panicked { message } => write!(f, "the change panicked and was not made: {message}"),
            Self::Closed => f.write_str("the journal is closed"),
            Self::Failed { action, reason } => write!(f, "the journal failed while {action}: {reason}"),
        }
    }
}

impl std::error::Error for Error {}

/// Why a directory could not be opened as a journal. No kind replaces what is in it.
#[derive(Debug)]
#[non_exhaustive]
pub enum OpenError {
    /// Another opener has the directory; in another process or in this one.
    Held {
        /// The directory.
        dir: PathBuf,
        /// Its process id and the name it gave, such as `process 4711 (orders --role all)`.
        holder: String,
    },
    /// What is in the directory cannot be read completely, and a person has to decide. Damage to
    /// whole files is found before anything is touched; damage within the data only once sled has
    /// opened it, and has cleared the part of its log that it could not read.
    Damaged {
        /// The directory.
        dir: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The system refused an operation before any data was read.
    Io {
        /// The directory.
        dir: PathBuf,
        /// What was being done, such as `creating the directory`.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

impl OpenError {
    pub(crate) fn damaged(dir: &Path, reason: impl Into<String>) -> Self {
        Self::Damaged { dir: dir.to_owned(), reason: reason.into() }
    }

    /// For `map_err`: the error of an operation on the directory.
    pub(crate) fn io(dir: &Path, action: &'static str) -> impl FnOnce(io::Error) -> Self {
        let dir = dir.to_owned();
        move |source| Self::Io { dir, action, source }
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Held { dir, holder } => {
                write!(f, "{} is in use by {holder}: stop it, or use another directory", dir.display())
            }
            Self::Damaged { dir, reason } => write!(
                f,
                "{} is damaged: {reason}. It was not replaced by an empty one. Move the directory \
                 aside and keep it, then restore a backup or start with a new directory",
                dir.display()
            ),
            Self::Io { dir, action, source } => {
                write!(f, "{} could not be opened, {action} failed: {source}", dir.display())
            }
        }
    }
}

impl std::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::Held { .. } | Self::Damaged { .. } => None,
        }
    }
}
