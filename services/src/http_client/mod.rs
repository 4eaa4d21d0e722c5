//! The HTTP client of the two sides: every wait and every answer is bounded.
//!
//! A peer that hangs, redirects or answers without end costs a bounded time and a bounded memory.
//! What its statuses mean is left to the caller: a 404 from the producer is an everyday answer.

mod base_url;
mod failure;
mod peer;
mod reply;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub use base_url::BaseUrl;
pub use failure::{Failure, FailureKind};
pub use peer::Peer;
pub use reply::Reply;

/// Longest wait for a connection.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Longest wait for a whole answer, connecting included.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest rest of an open connection: shorter than the 30 s after which the servers close theirs, so
/// that no request is sent into a connection that is just closing.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(20);
/// Largest answer that is read: a page of 500 orders with the longest names has less than 3 MiB.
pub const ANSWER_BYTES_MAX: usize = 8 * 1024 * 1024;

/// A client with the limits above; it follows no redirect and asks no proxy.
///
/// # Errors
/// When the machine cannot give it what it needs, such as a name resolver.
pub fn client() -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(ANSWER_TIMEOUT)
        .pool_idle_timeout(IDLE_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .user_agent(concat!("orders/", env!("CARGO_PKG_VERSION")))
        .build()
}
