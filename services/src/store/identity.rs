//! What a store is called: drawn once, kept in it for good.
//!
//! Effects take place once per store. So whoever shares messages with others can show with this name
//! that it also shares what was done about them.

use std::fmt;

use bus::{Result, Seams};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Batch, Store, Table, decode, encode};

/// The name of a store. A copy of the directory has it too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreId(Uuid);

impl StoreId {
    /// The name of `store`, which is drawn when it has none yet. `Ok` says that the name is durable.
    ///
    /// # Errors
    /// As for [`Store::apply`].
    pub async fn of(store: &dyn Store, seams: &Seams) -> Result<Self> {
        let key = Table::Identity.key("");
        if let Some(kept) = store.get(&key).await? {
            return decode(&kept);
        }
        let drawn = Self(uuid::Builder::from_random_bytes(seams.entropy.bits("store", "id").to_be_bytes()).into_uuid());
        // Whoever was faster has named it.
        let _ = store.apply(Batch::new().expect(key.clone(), None).put(key.clone(), encode(&drawn))).await?;
        store.get(&key).await?.map_or(Ok(drawn), |kept| decode(&kept))
    }
}

impl fmt::Display for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::super::MemoryStore;
    use super::*;

    #[tokio::test]
    async fn a_store_keeps_its_name_and_shares_it_with_no_other() {
        let seams = Seams::system();
        let (one, other) = (MemoryStore::new(), MemoryStore::new());
        let mut names = Vec::new();
        for store in [&one, &one, &other] {
            names.push(StoreId::of(store, &seams).await.expect("memory answers"));
        }
        assert_eq!(names[0], names[1]);
        assert_ne!(names[0], names[2]);
    }
}
