//! Reading without the committer, yet never ahead of the disk.

use std::ops::Bound;

use crate::error::Error;
use crate::journal::Journal;
use crate::pending::Pending;
use crate::queue::Request;
use crate::scan::{self, Direction};
use crate::write::Write;

impl Journal {
    /// The value of a key.
    ///
    /// `Ok` promises that no crash takes back what it shows: if anything was still on its way to
    /// the disk, the answer has waited for it. With nothing on its way, it does not wait.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] and [`Error::Failed`].
    ///
    /// # Cancellation
    ///
    /// Safe: it only looks.
    pub async fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        let value = self.db()?.get(key).map_err(|error| self.fail(&error))?;
        // After the read, so that whatever it saw is waited for.
        self.progress().durable().await?;
        Ok(value.map(|value| value.to_vec()))
    }

    /// Up to `limit` entries of a range, beginning at the end that `direction` names.
    ///
    /// `Ok` promises one moment: all of a change is in the answer or nothing of it; and that no
    /// crash takes back what it shows. A range that ends before it starts has no entries.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] and [`Error::Failed`].
    ///
    /// # Cancellation
    ///
    /// Safe: it only looks.
    pub async fn scan(
        &self,
        range: (Bound<Vec<u8>>, Bound<Vec<u8>>),
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Vec<u8>)>, Error> {
        // sled walks leaf by leaf, so a group may fall between two leaves. Where none did, the
        // walk counts; otherwise it is done again by the committer, between two changes.
        if let Some(before) = self.progress().still_count() {
            let entries = scan::scan(&*self.db()?, &Pending::default(), range.clone(), direction, limit)
                .map_err(|error| self.fail(&error))?;
            if self.progress().still_count() == Some(before) {
                self.progress().durable().await?;
                return Ok(entries);
            }
        }
        self.commit(move |view| (Write::new(), view.scan(range, direction, limit))).await
    }

    /// A disk that cannot be read cannot be trusted with writes.
    fn fail(&self, error: &sled::Error) -> Error {
        let error = Error::failed("reading", error);
        // Nobody there: the committer has already ended, and said why.
        drop(self.send(Request::Fail(error.clone())));
        error
    }
}
