//! The life of one process.

use tokio_util::sync::CancellationToken;

/// From a start to a death. Clones are the same life.
#[derive(Clone, Debug, Default)]
pub struct Life(CancellationToken);

impl Life {
    /// Ends it: whatever runs in it goes no further.
    pub fn end(&self) {
        self.0.cancel();
    }

    /// Whether it is over.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Resolves when it is over.
    pub async fn over(&self) {
        self.0.cancelled().await;
    }

    /// Runs `work` until it is done or the life is over; then it is dropped where it stands.
    pub async fn while_it_lasts<F: Future>(&self, work: F) -> Option<F::Output> {
        tokio::select! {
            biased;
            () = self.0.cancelled() => None,
            output = work => Some(output),
        }
    }
}
