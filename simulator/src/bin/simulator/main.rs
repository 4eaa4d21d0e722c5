//! `simulator`: the order system under faults, from the command line.
//!
//! | module | one idea |
//! |---|---|
//! | `cli` | what can be asked for |
//! | `seeds` | many seeds, one line or object each |
//! | `failure` | the least plan that fails, its story and pictures |
//! | `crashes` | one run, crashed at every call |
//! | `replay` | a stored plan |
//! | `doctor` | whether the simulator itself is to be believed |
//! | `bugs` | whether planted bugs are found |
//! | `bench` | how fast it is here |
//! | `bar` | how far it is |

mod bar;
mod bench;
mod bugs;
mod cli;
mod crashes;
mod doctor;
mod failure;
mod replay;
mod seeds;

use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command};

/// A run makes and drops some hundred thousand small things on one thread.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A check failed.
const FAILED: u8 = 1;
/// What was asked for cannot be done.
const USAGE: u8 = 2;
/// Nothing was proved, or the plan is stale.
const PROVED_NOTHING: u8 = 3;

fn main() -> ExitCode {
    // A scenario that panics is a verdict with its text, and no business of the terminal's.
    std::panic::set_hook(Box::new(|_| {}));
    match Cli::parse().command {
        Command::Run(options) if options.sweep => crashes::sweep(&options),
        Command::Run(options) => seeds::run(&options),
        Command::Replay { plan, json, lines } => replay::replay(&plan, json, lines),
        Command::Doctor => doctor::doctor(),
        Command::Bugs { seeds, json } => bugs::bugs(seeds, json),
        Command::Bench => bench::bench(),
    }
}
