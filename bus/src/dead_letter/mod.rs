//! Dead letters: messages that were rejected, kept with where they came from and why.
//!
//! A rejected message keeps its id, key, content type, body and headers; the headers named here are
//! added, the same on every backend. A message that was replayed and rejected again carries the
//! values of the last rejection.

mod provenance;

pub use provenance::{Rejection, mark};

/// Why it was rejected: the text given to [`Delivery::reject`](crate::Delivery::reject).
pub const REASON: &str = "x-dead-letter-reason";

/// The destination it was published to, where a replay sends it back.
pub const DESTINATION: &str = "x-dead-letter-destination";

/// The group that rejected it; absent for the default group.
pub const GROUP: &str = "x-dead-letter-group";

/// How often the broker had handed it out, in decimal; absent where the broker does not count.
pub const RECEIVE_COUNT: &str = "x-dead-letter-receive-count";

/// When it was rejected: calendar time, RFC 3339.
pub const AT: &str = "x-dead-letter-at";
