//! The order system in this world: the real producer and consumer over a broker model, two disks and a
//! network, under the faults of a plan.
//!
//! ```
//! use simulator::broker::Model;
//! use simulator::orders::{Plan, Profile, run};
//!
//! let plan = Plan::draw(7, Model::Kafka, Profile::Swarm, 3);
//! let report = run(&plan)?;
//! assert!(report.failure().is_none(), "{:?}", report.failure());
//! # Ok::<(), simulator::orders::StalePlan>(())
//! ```
//!
//! | module | one idea |
//! |---|---|
//! | `fault` | the kinds of faults |
//! | `plan` | a run as data, drawn from a seed |
//! | `trouble` | whether a fault happens here and now |
//! | `seam`, `store`, `network` | the three ways out of a service, where faults happen |
//! | `scene` | the services put together |
//! | `story` | customers, healing, rest |
//! | `watch` | what handlers are seen to do |
//! | `onlooker` | looking on while things come to rest |
//! | `evidence`, `checks` | what is known at the end, and what must be true of it |
//! | `bugs` | the services put together wrong, to see that it is noticed |

pub mod bugs;
pub mod checks;
mod evidence;
mod fault;
mod network;
mod onlooker;
mod plan;
mod report;
mod scene;
mod seam;
mod store;
mod story;
mod tally;
mod trouble;
mod watch;

pub use evidence::{Evidence, Placed};
pub use fault::{Fault, Fired};
pub use plan::{Crash, FORMAT, Plan, Profile, Strength, Wanted};
pub use report::{Report, StalePlan, run, run_with_bug, run_with_lines};
pub use tally::Work;
pub use watch::{Ended, Name, Runs, Seen, Told};
