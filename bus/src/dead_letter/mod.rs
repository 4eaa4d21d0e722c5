//! Dead letters: messages that were rejected, kept with where they came from and why.
//!
//! A rejected message keeps its id, key, content type, body and headers; the headers named here are
//! added, the same on every backend. A message that was replayed and rejected again carries the
//! values of the last rejection.
//!
//! [`DeadLetters`] lists, shows, replays and discards them on any bus:
//!
//! ```
//! use std::sync::Arc;
//! use bus::dead_letter::{DeadLetters, Filter, Replay};
//! use bus::{Bus, Declaration, Destination, Seams};
//! use bus_memory::{MemoryBus, MemoryOptions};
//! use tokio_util::sync::CancellationToken;
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> bus::Result<()> {
//! let seams = Seams::system();
//! let bus: Arc<dyn Bus> = MemoryBus::new(seams.clone(), MemoryOptions::default());
//! let orders = Destination::new("orders")?;
//! bus.declare(&[Declaration::of(orders.clone())]).await?;
//!
//! let dead_letters = DeadLetters::of(bus, &orders, seams)?;
//! for letter in dead_letters.list(&Filter::default(), 20).await?.letters {
//!     println!("{} {:?}", letter.message().id(), letter.provenance().reason);
//! }
//! let mended = Filter { reason_contains: Some("no such field".to_owned()), ..Filter::default() };
//! let replay = Replay { filter: mended, ..Replay::default() };
//! let replayed = dead_letters.replay(replay, CancellationToken::new(), |progress| println!("{progress}")).await?;
//! assert_eq!(replayed.progress.failed_count, 0);
//! # Ok(())
//! # }
//! ```
//!
//! | module | one idea |
//! |---|---|
//! | `provenance` | the headers, written and read |
//! | `letter`, `filter` | a dead letter, and which of them are meant |
//! | `browse` | list and show |
//! | `replay`, `discard` | back to the origin, or gone for good |
//! | `walk` | through the queue once, to an end |
//! | `hand` | what was met is held meanwhile, and given back unchanged |
//! | `pace` | so many a second |

mod browse;
mod discard;
mod filter;
mod hand;
mod letter;
mod pace;
mod provenance;
mod replay;
mod walk;

pub use browse::{DeadLetters, HELD_COUNT_MAX, LEASE, Listing, PATIENCE};
pub use discard::{Discard, Discarded};
pub use filter::Filter;
pub use letter::DeadLetter;
pub(crate) use provenance::is_replay_for_another_group;
pub use provenance::{Provenance, Rejection, mark};
pub use replay::{FAILURE_COUNT_MAX, Failure, Progress, REPLAYED_COUNT_MAX, Replay, Replayed};
pub use walk::Ended;

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

/// How often it was replayed, in decimal; absent before the first time.
///
/// A replay is not the message it copies, though it has its id: a backend whose broker deduplicates
/// by id (SQS FIFO) appends this count to what it deduplicates by.
pub const REPLAY_COUNT: &str = "x-dead-letter-replay-count";

/// On a replayed message: the one group of [`DESTINATION`] it is for, empty for the default one.
///
/// Publishing reaches every group, so a [pipeline](crate::pipeline) of another group acknowledges
/// it without starting its handler.
pub const REPLAY_GROUP: &str = "x-dead-letter-replay-group";
