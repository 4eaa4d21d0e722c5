//! What an opener may choose.

/// How to open a [`Journal`](crate::Journal).
///
/// ```
/// let mut options = journal::Options::new("orders --role all");
/// options.cache_bytes = 16 * 1024 * 1024;
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// Who is opening, for the message that a second opener gets, such as `orders --role all`.
    pub holder: String,
    /// Pages kept in memory, in bytes; 64 MiB unless set. sled's own default is 1 GiB.
    pub cache_bytes: u64,
    #[cfg(test)]
    pub(crate) before_sync: crate::store::BeforeSync,
}

impl Options {
    /// The defaults, for the given holder.
    #[must_use]
    pub fn new(holder: impl Into<String>) -> Self {
        Self {
            holder: holder.into(),
            cache_bytes: 64 * 1024 * 1024,
            #[cfg(test)]
            before_sync: crate::store::BeforeSync::default(),
        }
    }
}
