//! What makes one broker another, as data: the queue in `queue` reads it and knows no broker.

use std::time::Duration;

use bus::Capability;
use bus::capability::{Counting, Durability, LeaseTerms, Order, Reach};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
const KIB: usize = 1024;

/// One of the brokers there are models of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Model {
    /// Amazon SQS, standard queues: no order, leases by visibility timeout.
    Sqs,
    /// Amazon SQS, FIFO queues: groups block, five minutes of deduplication.
    SqsFifo,
    /// RabbitMQ, quorum queues: held by the connection, requeued near the head.
    RabbitMq,
    /// Kafka: partitions, a committed prefix, rebalances.
    Kafka,
}

impl Model {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Sqs, Self::SqsFifo, Self::RabbitMq, Self::Kafka];

    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sqs => "sqs",
            Self::SqsFifo => "sqs-fifo",
            Self::RabbitMq => "rabbitmq",
            Self::Kafka => "kafka",
        }
    }

    /// The model of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|model| model.name() == name)
    }

    /// How this broker behaves.
    #[must_use]
    pub fn semantics(self) -> Semantics {
        match self {
            Self::Sqs => sqs(),
            Self::SqsFifo => sqs_fifo(),
            Self::RabbitMq => rabbitmq(),
            Self::Kafka => kafka(),
        }
    }
}

/// How a broker behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Semantics {
    /// What a client of it says it can: what our backend says, but for what `tests/models.rs` lists.
    pub capability: Capability,
    /// Which of the waiting messages go out.
    pub selection: Selection,
    /// A message of the same id is accepted and dropped for so long; `None`: never.
    pub deduplication: Option<Duration>,
    /// Whether what a consumer holds comes back when its connection ends. Otherwise its lease has to end.
    pub is_bound_to_connection: bool,
    /// Whether only the settled prefix of a partition is remembered: what was settled beyond it comes
    /// again when the partition moves.
    pub commits_prefix: bool,
}

/// Which of the waiting messages go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection {
    /// About the oldest, never in a promised order.
    Scattered,
    /// The oldest first; what was given back keeps its place.
    Queued,
    /// The oldest of each key, and none of a key of which something is out.
    Grouped,
    /// The oldest of each partition that is the receiver's own.
    Partitioned {
        /// Partitions of a destination.
        partition_count: u64,
    },
}

fn sqs() -> Semantics {
    Semantics {
        capability: Capability {
            durability: Durability::Replicated,
            reach: Reach::Network,
            order: Order::None,
            delay_max: Some(15 * MINUTE),
            nack_delay_max: Some(11 * HOUR),
            lease: LeaseTerms { duration: Some(Duration::from_secs(30)), extendable: true, total_max: Some(12 * HOUR) },
            receive_count: true,
            release_uncounted: false,
            dead_letters: true,
            groups: false,
            message_bytes_max: Some(256 * KIB),
            publish_atomic: false,
            settle_confirmed: true,
            depth: Counting::Approximate,
            purge: true,
        },
        selection: Selection::Scattered,
        deduplication: None,
        is_bound_to_connection: false,
        commits_prefix: false,
    }
}

fn sqs_fifo() -> Semantics {
    let standard = sqs();
    Semantics {
        capability: Capability { order: Order::PerKey, delay_max: None, ..standard.capability },
        selection: Selection::Grouped,
        deduplication: Some(5 * MINUTE),
        ..standard
    }
}

fn rabbitmq() -> Semantics {
    Semantics {
        capability: Capability {
            durability: Durability::Disk,
            delay_max: Some(24 * HOUR),
            nack_delay_max: Some(24 * HOUR),
            lease: LeaseTerms { duration: None, extendable: false, total_max: None },
            message_bytes_max: Some(4 * 1024 * KIB),
            settle_confirmed: false,
            ..sqs().capability
        },
        selection: Selection::Queued,
        deduplication: None,
        is_bound_to_connection: true,
        commits_prefix: false,
    }
}

fn kafka() -> Semantics {
    Semantics {
        capability: Capability {
            order: Order::PerKey,
            delay_max: None,
            nack_delay_max: Some(15 * MINUTE),
            lease: LeaseTerms { duration: None, extendable: false, total_max: None },
            receive_count: false,
            groups: true,
            message_bytes_max: Some(768 * KIB),
            settle_confirmed: false,
            purge: false,
            ..sqs().capability
        },
        selection: Selection::Partitioned { partition_count: 6 },
        deduplication: None,
        is_bound_to_connection: true,
        commits_prefix: true,
    }
}
