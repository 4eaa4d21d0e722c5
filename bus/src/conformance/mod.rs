//! The contract as a suite: what every bus must show, one case per promise.
//!
//! A backend writes a [`Harness`] of about thirty lines and hands it to a [`Suite`]; the suite runs
//! every case on a fresh destination and reports each as one test whose name is the promise:
//!
//! ```no_run
//! use std::process::ExitCode;
//! use std::sync::Arc;
//!
//! use async_trait::async_trait;
//! use bus::conformance::{Harness, Suite, Time};
//! use bus::{Bus, Result, Seams};
//! use bus_memory::{MemoryBus, MemoryOptions};
//!
//! /// One broker, made when the first connection is.
//! #[derive(Default)]
//! struct Memory(std::sync::OnceLock<Arc<MemoryBus>>);
//!
//! #[async_trait]
//! impl Harness for Memory {
//!     fn time(&self) -> Time {
//!         Time::Virtual
//!     }
//!
//!     async fn connect(&self, seams: &Seams) -> Result<Arc<dyn Bus>> {
//!         Ok(self.0.get_or_init(|| MemoryBus::new(seams.clone(), MemoryOptions::default())).clone())
//!     }
//! }
//!
//! fn main() -> ExitCode {
//!     Suite::new().setting("everything on", Memory::default).main()
//! }
//! ```
//!
//! * **Gates.** A case names the capabilities it [needs](Need). Where one is off the case is
//!   reported as ignored, with the flag that skipped it.
//! * **Settings.** One backend is tested under several: each capability switched off, each queue
//!   type, each layer around it.
//! * **Time.** A bus that takes its time from [`Seams`](crate::Seams) is tested in virtual time: hours pass in
//!   microseconds, and a case that waits for ever is found at once. Cases never assert how long
//!   something took, only that nothing came early and that everything came.
//! * **Deviations.** What a server under test is known to do otherwise is [data](Deviation): it is
//!   reported with its reason and never hidden. In virtual time one that is none any more fails.
//! * **Records.** What a setting shows, and what it answers to fixed questions, can be
//!   [kept](Suite::kept_in) in a file, for comparison with others.
//!
//! The cases are in [`cases`], in the order of a message's life.

mod answers;
mod case;
pub mod cases;
mod consume;
mod harness;
mod logbook;
mod receiving;
mod record;
mod rig;
mod run;
mod storm;
mod suite;
mod world;

pub use case::{Case, Need};
pub use harness::{Deviation, Harness, Outages, Time};
pub use record::Line;
pub use run::{Verdict, run};
pub use suite::Suite;
pub use world::World;
