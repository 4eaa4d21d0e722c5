//! SIGINT and SIGTERM: the first asks to stop, the second ends at once.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::failure::Failure;

/// Exit code of a process ended by a second signal, as shells report SIGINT.
const ENDED_AT_ONCE: i32 = 130;

pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// From now on a signal no longer ends the process by itself.
    pub(super) fn watch() -> Result<Self, Failure> {
        let listen = |kind| signal(kind).map_err(|error| Failure::runtime(format!("cannot watch signals: {error}")));
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    /// Resolves with the name of the next one.
    pub(super) async fn next(&mut self) -> &'static str {
        tokio::select! {
            biased;
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }

    /// Ends the process at the next one.
    pub(super) async fn end_at_next(&mut self) -> std::convert::Infallible {
        let name = self.next().await;
        tracing::warn!(
            signal = name,
            "second signal: ending at once; what was not finished is redone at the next start"
        );
        std::process::exit(ENDED_AT_ONCE)
    }
}
