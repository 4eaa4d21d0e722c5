//! Forgetting what has expired, in small batches.

use std::time::Duration;

use bus::{ClockExt, Result, Seams};
use bytes::Bytes;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{Batch, Direction, Key, Store, Table, Written};

/// Rows forgotten in one write: small enough that a request behind it does not notice.
const BATCH_COUNT_MAX: usize = 500;
/// How often expired rows are removed.
const EVERY: Duration = Duration::from_secs(600);

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
        let count = expired.len();
        // A row that was renewed meanwhile has another expiry, and must stay: then these are read again.
        let forget = |batch: Batch, (key, row): (Key, Bytes)| {
            batch.expect(key.clone(), Some(row.clone())).delete(key).delete(Key::from_stored(Vec::from(row)))
        };
        match store.apply(expired.into_iter().fold(Batch::new(), forget)).await? {
            Written::Applied(_) => removed_count += count,
            Written::Rejected(_) => {}
        }
    }
}

/// Prunes again and again until `shutdown`; what cannot be removed now is removed later.
pub(crate) async fn prune_regularly(store: &dyn Store, expiry: Table, seams: &Seams, shutdown: &CancellationToken) {
    loop {
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            () = seams.clock.sleep(EVERY) => {}
        }
        if let Err(error) = prune(store, expiry, seams.clock.wall()).await {
            warn!(%error, ?expiry, "expired rows were not removed; trying again later");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use async_trait::async_trait;

    use super::super::{MemoryStore, Range};
    use super::*;

    /// Lets somebody else write between a reader's scan and what the reader then does.
    #[derive(Debug)]
    struct Interrupted {
        store: MemoryStore,
        by: Mutex<Option<Batch>>,
    }

    #[async_trait]
    impl Store for Interrupted {
        async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
            self.store.get(key).await
        }

        async fn scan(&self, range: &Range, direction: Direction, limit: usize) -> Result<Vec<(Key, Bytes)>> {
            let entries = self.store.scan(range, direction, limit).await;
            let by = self.by.lock().expect("not poisoned").take();
            if let Some(batch) = by {
                let _ = self.store.apply(batch).await?;
            }
            entries
        }

        async fn apply(&self, batch: Batch) -> Result<Written> {
            self.store.apply(batch).await
        }

        fn trouble(&self) -> Option<String> {
            None
        }
    }

    fn expiry(second: u64, key: &Key) -> Key {
        Table::IdempotencyExpiry.number(second).then(key.as_bytes())
    }

    fn row(batch: Batch, second: u64, key: &Key) -> Batch {
        batch.put(key.clone(), "row").put(expiry(second, key), key.as_bytes().to_vec())
    }

    #[tokio::test]
    async fn what_has_expired_goes_and_what_is_renewed_meanwhile_stays() {
        let [old, renewed, young] = ["old", "renewed", "young"].map(|name| Table::Idempotency.key(name));
        let before = row(row(row(Batch::new(), 1, &old), 2, &renewed), 99, &young);
        let renewal = row(Batch::new().delete(expiry(2, &renewed)), 98, &renewed);
        let store = Interrupted { store: MemoryStore::new(), by: Mutex::new(None) };
        assert_eq!(store.apply(before).await.expect("memory answers"), Written::Applied(Vec::new()));
        *store.by.lock().expect("not poisoned") = Some(renewal);
        let now = Timestamp::from_second(10).expect("in range");
        assert_eq!(prune(&store, Table::IdempotencyExpiry, now).await.expect("memory answers"), 1);
        for (key, stays) in [(&old, false), (&renewed, true), (&young, true)] {
            assert_eq!(store.get(key).await.expect("memory answers").is_some(), stays, "{key:?}");
        }
        let left = store.scan(&Table::IdempotencyExpiry.all(), Direction::Forward, 10).await.expect("memory answers");
        assert_eq!(left.len(), 2);
    }
}
