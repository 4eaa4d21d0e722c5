//! Forgetting what has expired, in small batches.

use bus::Result;
use jiff::Timestamp;

use super::{Batch, Direction, Key, Store, Table};

/// Rows forgotten in one write: small enough that a request behind it does not notice.
const BATCH_COUNT_MAX: usize = 500;

/// Removes the rows that `expiry` names as expired by `now`, and answers how many.
///
/// Keys of an expiry table are a second and the key of the row; a row may be gone already.
///
/// # Errors
/// As for [`Store::apply`]; what was removed by then stays removed.
pub async fn prune(store: &dyn Store, expiry: Table, now: Timestamp) -> Result<usize> {
    let second = u64::try_from(now.as_second()).unwrap_or(0);
    let range = expiry.all().before(&expiry.number(second));
    let mut removed_count = 0;
    loop {
        let expired = store.scan(&range, Direction::Forward, BATCH_COUNT_MAX).await?;
        if expired.is_empty() {
            return Ok(removed_count);
        }
        removed_count += expired.len();
        let forget = |batch: Batch, (key, row)| batch.delete(key).delete(Key::from_stored(Vec::from(row)));
        let _ = store.apply(expired.into_iter().fold(Batch::new(), forget)).await?;
    }
}
