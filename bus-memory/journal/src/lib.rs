//! An ordered key→value store on disk: many tasks commit, one thread writes, and nothing is
//! answered before a crash can no longer take it back.
//!
//! ```
//! use std::ops::Bound;
//! use journal::{Direction, Journal, Options, Write};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = tempfile::tempdir()?;
//! # let dir = dir.path();
//! let journal = Journal::open(dir, Options::new("the example"))?;
//!
//! // Read and write in one step: nothing can come between the look and the write.
//! let is_new = journal
//!     .commit(|view| {
//!         let is_new = view.get(b"order/1").is_none();
//!         let mut write = Write::new();
//!         write.put(*b"order/1", *b"placed");
//!         (write, is_new)
//!     })
//!     .await?;
//! assert!(is_new);
//!
//! let all = (Bound::Unbounded, Bound::Unbounded);
//! let entries = journal.scan(all, Direction::Forward, 10).await?;
//! assert_eq!(entries, [(b"order/1".to_vec(), b"placed".to_vec())]);
//! journal.close().await?;
//! # Ok(())
//! # }
//! ```
//!
//! It is not a database: no tables, no secondary indexes, no transaction that waits for anything
//! but the disk, no second process. It knows nothing of messages or orders; its users give the
//! bytes their meaning.
//!
//! # Promises
//!
//! * **Group commit.** Changes run one after the other, in the order they were queued. Up to
//!   [`GROUP_CHANGES_MAX`] of them share one `flush` and one `sync_data`; then all are answered.
//! * **Atomic.** A [`Write`] is found whole or not at all after a crash.
//! * **No dirty reads.** [`Journal::get`] and [`Journal::scan`] wait until what they saw is on
//!   disk; so does [`Journal::commit`], also when it wrote nothing.
//! * **Failing is final.** After the first error of the disk every call answers
//!   [`Error::Failed`], and [`Journal::failed`] resolves so that the owner can stop.
//! * **Never empty by accident.** Damage makes [`Journal::open`] refuse; it does not start anew.
//! * **One holder.** A second opener, in this process or another, learns who has the directory.
//!
//! The promises hold when the process is killed. The sync is there for power cuts too, but those
//! are not tested, so nothing is claimed.

mod journal;
mod options;
mod read;
mod scan;
mod view;
mod write;

mod committer;
mod pending;
mod progress;
mod queue;
mod store;

mod damage;
mod leftovers;
mod lock;
mod open;
mod watermark;

mod error;

pub use crate::committer::GROUP_CHANGES_MAX;
pub use crate::error::{Error, OpenError};
pub use crate::journal::Journal;
pub use crate::options::Options;
pub use crate::progress::Commits;
pub use crate::scan::Direction;
pub use crate::view::View;
pub use crate::write::{KEY_BYTES_MAX, VALUE_BYTES_MAX, Write};

#[cfg(test)]
mod tests;
