//! What an owner may choose: limits, and what the bus can do.

use std::time::Duration;

use bus::Capability;
use bus::capability::{Counting, Durability, LeaseTerms, Order, Reach};

/// How many messages a queue holds unless told otherwise.
pub const CAPACITY_COUNT: usize = 65_536;
/// How many bytes a queue holds unless told otherwise: 64 MiB.
pub const CAPACITY_BYTES: usize = 64 * 1024 * 1024;
/// Largest message unless told otherwise: 256 KiB, what SQS took for most of its life.
pub const MESSAGE_BYTES_MAX: usize = 256 * 1024;
/// Length of a lease unless told otherwise: the visibility timeout SQS starts with.
pub const LEASE: Duration = Duration::from_secs(30);
/// Longest total time of one lease unless told otherwise: the cap of SQS, 12 hours.
pub const LEASE_TOTAL_MAX: Duration = Duration::from_secs(12 * 60 * 60);
/// Longest publish delay unless told otherwise: 15 days.
pub const DELAY_MAX: Duration = Duration::from_secs(15 * 24 * 60 * 60);
/// Longest nack delay unless told otherwise: the cap of SQS, 12 hours.
pub const NACK_DELAY_MAX: Duration = Duration::from_secs(12 * 60 * 60);

/// Limits, and one toggle per field of [`Capability`].
///
/// By default everything is on; what is switched off makes this bus behave like a broker without it.
/// Durability is not chosen here: it is `Disk` with a journal and `Volatile` without.
///
/// ```
/// use bus::capability::Order;
/// use bus_memory::MemoryOptions;
///
/// let plain_competing_consumers = MemoryOptions { order: Order::None, ..MemoryOptions::default() };
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryOptions {
    /// Messages a queue holds, unsettled ones included, before publishers wait. At least 1.
    pub capacity_count: usize,
    /// Bytes a queue holds, by [`Message::size_bytes`](bus::Message::size_bytes), before publishers
    /// wait. At least 1.
    pub capacity_bytes: usize,
    /// Largest message in bytes; `None`: bounded by memory alone.
    pub message_bytes_max: Option<usize>,
    /// Whether competing receivers keep the order of a key.
    pub order: Order,
    /// Longest publish delay; `None`: delayed messages are refused.
    pub delay_max: Option<Duration>,
    /// Longest nack delay; `None`: the delay is ignored and a nack returns at once.
    pub nack_delay_max: Option<Duration>,
    /// How long a delivery is the receiver's.
    pub lease: LeaseTerms,
    /// Whether deliveries carry a receive count.
    pub receive_count: bool,
    /// Whether a released delivery is taken off its receive count again.
    pub release_uncounted: bool,
    /// Whether destinations have dead letters; without, a reject fails and the message stays.
    pub dead_letters: bool,
    /// Whether destinations may have groups beside the default one.
    pub groups: bool,
    /// Whether the valid messages of a batch are accepted together; without, one by one.
    pub publish_atomic: bool,
    /// Whether settlements are answered `Settled`; without, `Sent`.
    pub settle_confirmed: bool,
    /// How exactly waiting messages are counted; `Approximate` counts exactly, and promises less.
    pub depth: Counting,
    /// Whether a subscription can be emptied.
    pub purge: bool,
}

impl Default for MemoryOptions {
    fn default() -> Self {
        Self {
            capacity_count: CAPACITY_COUNT,
            capacity_bytes: CAPACITY_BYTES,
            message_bytes_max: Some(MESSAGE_BYTES_MAX),
            order: Order::PerKey,
            delay_max: Some(DELAY_MAX),
            nack_delay_max: Some(NACK_DELAY_MAX),
            lease: LeaseTerms { duration: Some(LEASE), extendable: true, total_max: Some(LEASE_TOTAL_MAX) },
            receive_count: true,
            release_uncounted: true,
            dead_letters: true,
            groups: true,
            publish_atomic: true,
            settle_confirmed: true,
            depth: Counting::Exact,
            purge: true,
        }
    }
}

impl MemoryOptions {
    pub(crate) fn capability(&self, durability: Durability) -> Capability {
        Capability {
            durability,
            reach: Reach::Process,
            order: self.order,
            delay_max: self.delay_max,
            nack_delay_max: self.nack_delay_max,
            lease: self.lease,
            receive_count: self.receive_count,
            release_uncounted: self.release_uncounted,
            dead_letters: self.dead_letters,
            groups: self.groups,
            message_bytes_max: self.message_bytes_max,
            publish_atomic: self.publish_atomic,
            settle_confirmed: self.settle_confirmed,
            depth: self.depth,
            purge: self.purge,
        }
    }
}
