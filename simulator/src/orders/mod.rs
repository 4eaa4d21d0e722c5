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
//! | `concrete`, `shrink` | what happened in a run as a plan, and the least of it that fails |
//! | `trouble`, `script`, `names`, `writes` | whether a fault happens here and now: by the dice, or as written |
//! | `seam`, `store`, `network` | the three ways out of a service, where faults happen |
//! | `scene` | the services put together |
//! | `story` | customers, healing, rest |
//! | `watch`, `commits` | what handlers are seen to do, and disks to take |
//! | `onlooker` | looking on while things come to rest |
//! | `kept` | a plan on disk, and whether it is stale |
//! | `cause`, `picture` | a failure told in ten lines, and drawn |
//! | `sweep` | a run crashed at each of its calls |
//! | `run`, `report`, `account` | one run of a plan, and what came of it |
//! | `effect` | whether a kind of fault changes a run |
//! | `evidence`, `checks` | what is known at the end, and what must be true of it |
//! | `bugs` | the services put together wrong, to see that it is noticed |

mod account;
pub mod bugs;
mod cause;
pub mod checks;
mod commits;
mod concrete;
mod effect;
mod evidence;
mod fault;
mod kept;
mod names;
mod network;
mod onlooker;
mod picture;
mod plan;
mod report;
mod run;
mod scene;
mod script;
mod seam;
mod shrink;
mod store;
mod story;
mod sweep;
mod tally;
mod trouble;
mod watch;
mod writes;

pub use cause::{Cause, cause};
pub use concrete::concrete;
pub use effect::matters;
pub use evidence::{Evidence, Placed};
pub use fault::{Fault, Fired};
pub use kept::KeptPlan;
pub use picture::{sequence, timeline};
pub use plan::{Crash, FORMAT, Plan, Profile, Strength, Strike, Wanted};
pub use report::Report;
pub use run::{StalePlan, run, run_as, run_kept};
pub use shrink::{Shrunk, shrink};
pub use sweep::{Point, Swept, Unswept, crash_everywhere};
pub use tally::Work;
pub use watch::{Ended, MessageName, Runs, Seen, Told};
