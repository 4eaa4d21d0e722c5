//! Every setting of `orders`, typed.
//!
//! The fields below are the one declaration: flag, environment variable, key in `orders.toml`,
//! default, help text and legal values all follow from it (see [`crate::configuration`]).

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bus::{BusUrl, Destination};
use clap::{Args, ValueEnum, ValueHint};
use jiff::tz::TimeZone;
use secrecy::SecretString;
use services::domain::Money;
use services::http_client::BaseUrl;

use crate::configuration::legal;
use crate::failure::Failure;

/// The value name that marks a setting as a secret: it is never printed.
pub(crate) const SECRET: &str = "SECRET";

/// Which services this process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Role {
    /// Both, in one process.
    All,
    /// Only the producer.
    Producer,
    /// Only the consumer.
    Consumer,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// Pretty on a terminal, JSON otherwise.
    Auto,
    /// For people.
    Pretty,
    /// One JSON object a line.
    Json,
}

/// What becomes of a message that has failed its last attempt, and of its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Poison {
    /// To the dead letters; later messages of its order go on.
    Skip,
    /// To the dead letters, and later messages of its order after it.
    Park,
    /// Never given up: its order stands still until it succeeds.
    Stop,
}

impl From<Poison> for bus::pipeline::Poison {
    fn from(poison: Poison) -> Self {
        match poison {
            Poison::Skip => Self::Skip,
            Poison::Park => Self::Park,
            Poison::Stop => Self::Stop,
        }
    }
}

/// What the binary was told, from all four layers.
#[derive(Args, Clone, Debug)]
pub(crate) struct Settings {
    /// Which services this process runs
    #[arg(long, value_enum, default_value = "all")]
    pub(crate) role: Role,

    /// The bus between the services; its scheme picks the backend
    #[arg(long, value_name = "URL", default_value = "memory://", value_parser = legal::bus)]
    pub(crate) bus: BusUrl,

    /// Directory of the stores: DIR/producer, DIR/consumer, DIR/bus
    #[arg(long, value_name = "DIR", default_value = "./data", value_hint = ValueHint::DirPath)]
    pub(crate) data: PathBuf,

    /// Where the producer listens
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:8080", value_parser = legal::address)]
    pub(crate) producer_addr: SocketAddr,

    /// Where the consumer listens
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:8081", value_parser = legal::address)]
    pub(crate) consumer_addr: SocketAddr,

    /// Where the producer is reached
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080", value_hint = ValueHint::Url)]
    pub(crate) producer_url: BaseUrl,

    /// Where the consumer is reached
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8081", value_hint = ValueHint::Url)]
    pub(crate) consumer_url: BaseUrl,

    /// Destination of the order messages
    #[arg(long, value_name = "NAME", default_value = "order-processing-queue", value_parser = legal::destination)]
    pub(crate) order_queue: Destination,

    /// Destination of the sync events
    #[arg(long, value_name = "NAME", default_value = "sync-events-queue", value_parser = legal::destination)]
    pub(crate) sync_queue: Destination,

    /// Zone of order numbers and of zone-less timestamps in messages, by its IANA name
    #[arg(long, value_name = "ZONE", default_value = "UTC", value_parser = legal::time_zone)]
    pub(crate) time_zone: TimeZone,

    /// Token of the sync routes; better in the environment, because flags show in process lists
    #[arg(long, value_name = SECRET, value_parser = legal::token)]
    pub(crate) sync_token: Option<SecretString>,

    /// Pause between two runs of the reconciler
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = legal::pause)]
    pub(crate) reconcile_every: Duration,

    /// Age from which the reconciler looks at an order
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = legal::time)]
    pub(crate) reconcile_grace: Duration,

    /// Longest time to finish what is running after SIGTERM or SIGINT
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = legal::time)]
    pub(crate) drain: Duration,

    /// How long `verify` reads a difference again before it names it
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = legal::time)]
    pub(crate) settle: Duration,

    /// Most handlers that run at the same time, per queue and member
    #[arg(long, value_name = "COUNT", default_value = "64", value_parser = legal::concurrency)]
    pub(crate) concurrency: usize,

    /// Members that receive for the consumer, each over a connection of its own, all with the one store
    #[arg(long, value_name = "COUNT", default_value = "1", value_parser = legal::members)]
    pub(crate) members: usize,

    /// Handler starts after which a failing message is given up, as `poison` says
    #[arg(long, value_name = "COUNT", default_value = "5", value_parser = legal::attempts)]
    pub(crate) attempts: u32,

    /// What becomes of a message that is given up, and of later ones of its order
    #[arg(long, value_enum, default_value = "skip")]
    pub(crate) poison: Poison,

    /// What is logged: a level, or target=level pairs with commas between
    #[arg(long, value_name = "FILTER", default_value = "info", value_parser = legal::log_filter)]
    pub(crate) log: String,

    /// How log lines look
    #[arg(long, value_enum, default_value = "auto")]
    pub(crate) log_format: LogFormat,

    /// Units on hand at the start, per product; from `[stock]` in the file only.
    #[arg(skip)]
    pub(crate) stock: BTreeMap<String, u64>,

    /// Highest total that is paid; from `[payment] limit` in the file only.
    #[arg(skip)]
    pub(crate) payment_limit: Option<Money>,
}

impl Settings {
    /// Whether these settings can serve together; each one alone is legal already.
    pub(crate) fn check_serving(&self) -> Result<(), Failure> {
        if self.role != Role::All && self.bus.scheme() == "memory" {
            return Err(Failure::usage("memory:// cannot cross processes, and --role runs one side only").hint(
                "run both sides in one process with --role all; two processes need a broker: --bus sqs://…, amqp://… or kafka://…, in a build that has its backend",
            ));
        }
        if self.role == Role::All && self.producer_addr == self.consumer_addr && self.producer_addr.port() != 0 {
            let taken = self.producer_addr;
            return Err(Failure::usage(format!("--producer-addr and --consumer-addr are both {taken}"))
                .hint("give each side a port of its own, or port 0 for a free one"));
        }
        if self.members > 1 && self.role == Role::Producer {
            return Err(Failure::usage("--members is for the consumer, and --role producer has none")
                .hint("leave it out, or give it to the process that runs the consumer"));
        }
        if self.members > 1 && self.poison == Poison::Park {
            return Err(Failure::usage(
                "--poison park knows what it has parked in one member only, and --members asks for more",
            )
            .hint("use --members 1, or --poison skip or stop"));
        }
        if self.order_queue == self.sync_queue {
            let name = &self.order_queue;
            return Err(Failure::usage(format!("--order-queue and --sync-queue are both {name}"))
                .hint("orders and sync events need a destination each"));
        }
        Ok(())
    }
}
