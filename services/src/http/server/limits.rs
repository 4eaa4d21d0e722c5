//! What one listener puts up with.

use std::time::Duration;

/// Bounds on connections and on a client's slowness; `Default` is right for a service on a LAN.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Open connections; above it new ones wait in the kernel's backlog. Default 4,096.
    pub connections_max: usize,
    /// From the first wait for a request to the end of its headers, so it also ends a connection
    /// that idles between requests. Default 30 s.
    pub header_read: Duration,
    /// From the first wait for a body to its end; 408 after that. Default 30 s.
    pub body_read: Duration,
    /// How long a client may take nothing of its answer. Default 30 s.
    pub write_stall: Duration,
    /// How long running requests may take to finish after the stop. Default 10 s.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 4_096,
            header_read: Duration::from_secs(30),
            body_read: Duration::from_secs(30),
            write_stall: Duration::from_secs(30),
            drain: Duration::from_secs(10),
        }
    }
}
