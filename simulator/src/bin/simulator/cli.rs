//! What can be asked for.

use std::ops::Range;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use simulator::broker::Model;
use simulator::orders::bugs::Bug;
use simulator::orders::{Plan, Profile};

/// Runs the order system in virtual time over models of brokers, and breaks what can break.
#[derive(Debug, Parser)]
#[command(
    name = "simulator",
    version,
    after_help = "Exit codes: 0 all passed · 1 a check failed, the command to replay it \
    is printed · 2 usage, or a file that cannot be read or written · 3 nothing was proved (over 5 % of the runs were vacuous), or a stale plan.\n\n\
    Examples:\n  simulator run --seeds 1..1000 --broker any\n  simulator run --seed 40 --broker sqs --save plan.json\n  \
    simulator replay plan.json --lines\n  simulator run --profile only:http-stale --seeds 1..100\n  \
    simulator run --sweep --seed 1 --orders 2 --profile calm\n  simulator run --bug ack-before-commit --broker sqs"
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Runs seeds: the same seed is the same run, on any machine.
    Run(RunOptions),
    /// Runs a stored plan.
    Replay {
        /// The file, as `run --save` wrote it.
        plan: PathBuf,
        /// Prints one JSON object.
        #[arg(long)]
        json: bool,
        /// Prints every event.
        #[arg(long)]
        lines: bool,
    },
    /// Shows whether the simulator is to be believed: same hashes, and faults that fire and matter.
    Doctor,
    /// Plants bugs and says which are found, after how many seeds and by which check.
    Bugs {
        /// Seeds to try for each bug and broker.
        #[arg(long, default_value_t = 1_000)]
        seeds: u64,
        /// Prints JSON objects.
        #[arg(long)]
        json: bool,
    },
    /// Measures seeds and bus events per second on this machine.
    Bench,
}

#[derive(Args, Debug)]
pub(crate) struct RunOptions {
    /// One seed.
    #[arg(long, conflicts_with = "seeds")]
    pub(crate) seed: Option<u64>,
    /// Seeds from A to B, B excluded.
    #[arg(long, value_parser = range, value_name = "A..B", default_value = "1..101")]
    pub(crate) seeds: Range<u64>,
    /// sqs, sqs-fifo, rabbitmq, kafka, or any: each seed on all four.
    #[arg(long, value_parser = brokers, default_value = "any")]
    pub(crate) broker: Brokers,
    /// calm, lite, swarm, nightmare, or only:FAULT.
    #[arg(long, value_parser = profile, default_value = "swarm")]
    pub(crate) profile: Profile,
    /// Orders of each run.
    #[arg(long, default_value_t = 10)]
    pub(crate) orders: usize,
    /// Prints one JSON object for each seed and one for all.
    #[arg(long)]
    pub(crate) json: bool,
    /// Writes the plan to this file: the least that fails of the first run that failed, or that of the last
    /// run. A failure is written to `plan-BROKER-SEED.json` unless this says otherwise, with a timeline (.html)
    /// and a sequence diagram (.mmd) beside it.
    #[arg(long, value_name = "PLAN.json")]
    pub(crate) save: Option<PathBuf>,
    /// Most runs to find the least that fails; 0: the plan as it was drawn.
    #[arg(long, default_value_t = 2_000, value_name = "RUNS")]
    pub(crate) shrink_runs: u32,
    /// Crashes the run of one seed at each of its calls, before and after: "N of N points survived".
    #[arg(long)]
    pub(crate) sweep: bool,
    /// Plants a bug, to see what a failure looks like.
    #[arg(long, value_parser = bug)]
    pub(crate) bug: Option<Bug>,
}

impl RunOptions {
    /// Where the plan of a failure goes.
    pub(crate) fn plan_path(&self, plan: &Plan) -> PathBuf {
        self.save.clone().unwrap_or_else(|| format!("plan-{}-{}.json", plan.broker, plan.seed).into())
    }
}

fn bug(text: &str) -> Result<Bug, String> {
    Bug::named(text).ok_or_else(|| {
        let known: Vec<String> = Bug::ALL.into_iter().map(Bug::word).collect();
        format!("bugs: {}", known.join(" "))
    })
}

/// One broker or all.
#[derive(Clone, Debug)]
pub(crate) struct Brokers(pub(crate) Vec<Model>);

fn brokers(text: &str) -> Result<Brokers, String> {
    if text == "any" {
        return Ok(Brokers(Model::ALL.to_vec()));
    }
    Model::named(text)
        .map(|model| Brokers(vec![model]))
        .ok_or_else(|| "use sqs, sqs-fifo, rabbitmq, kafka or any".to_owned())
}

fn profile(text: &str) -> Result<Profile, String> {
    let known = || {
        let faults: Vec<&str> = simulator::orders::Fault::ALL.iter().map(|fault| fault.name()).collect();
        format!("use calm, lite, swarm, nightmare or only:FAULT; faults: {}", faults.join(" "))
    };
    Profile::named(text).ok_or_else(known)
}

fn range(text: &str) -> Result<Range<u64>, String> {
    let ends = text.split_once("..").and_then(|(from, to)| Some(from.parse().ok()?..to.parse().ok()?));
    ends.filter(|range: &Range<u64>| !range.is_empty()).ok_or_else(|| "use A..B with A below B".to_owned())
}
