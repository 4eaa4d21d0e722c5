//! What a bus can do, as data.
//!
//! Each field changes what a caller may do; a [`Contract`](crate::Contract) is answered from them.

use std::fmt;
use std::time::Duration;

/// The abilities of one bus as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capability {
    /// What `Accepted` promises to survive.
    pub durability: Durability,
    /// Who can receive what is published.
    pub reach: Reach,
    /// Which order deliveries keep.
    pub order: Order,
    /// Longest publish delay the bus keeps itself; `None`: delayed messages are refused. A bus that
    /// knows no limit names a long one, such as 30 days, and refuses what is beyond.
    pub delay_max: Option<Duration>,
    /// Longest nack delay the bus keeps itself, with a limit in any case as for publishing, and a longer
    /// one fails; `None`: a nack returns at once.
    pub nack_delay_max: Option<Duration>,
    /// How long a delivery is ours.
    pub lease: LeaseTerms,
    /// Whether deliveries carry the broker's receive count.
    pub receive_count: bool,
    /// Whether a [released](crate::Receiver::release) delivery does not count as received. Where it
    /// counts, the broker's own limit on receives must leave room for prefetch and shutdowns.
    pub release_uncounted: bool,
    /// Whether `reject` keeps the message in the destination's dead letters.
    pub dead_letters: bool,
    /// Whether a destination may have groups beside its default one.
    pub groups: bool,
    /// Largest message in bytes (body, headers and key); `None`: bounded by memory alone.
    pub message_bytes_max: Option<usize>,
    /// Whether the valid messages of one publish batch are accepted in one write, over all its
    /// destinations: after an error or a crash either all of them are on the bus or none. A message
    /// behind a refused one of its key is refused with it.
    pub publish_atomic: bool,
    /// Whether settlements are answered; otherwise they are [`Sent`](crate::SettleOutcome::Sent).
    pub settle_confirmed: bool,
    /// How exactly [`Bus::depth`](crate::Bus::depth) counts.
    pub depth: Counting,
    /// Whether [`Bus::purge`](crate::Bus::purge) empties a subscription.
    pub purge: bool,
}

/// What an accepted message survives, weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Durability {
    /// Nothing: it is gone with the process that holds the bus.
    Volatile,
    /// The end of the process, on one disk (written and synced).
    Disk,
    /// The loss of a broker node, by replication.
    Replicated,
}

/// Who can receive, narrowest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// Only receivers in the same process.
    Process,
    /// Every process that reaches the broker.
    Network,
}

/// The order of deliveries, weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Order {
    /// None: lanes in one consumer are all there is.
    None,
    /// Per key, over competing consumers, nacks and expired leases: while a message is in a hand or
    /// waits for its nack delay, no other receiver gets a later one of its key. The same receiver may
    /// get several of a key at once, or one after the other; both keep the order.
    PerKey,
}

/// How exactly a bus counts what waits, weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Counting {
    /// Not at all.
    None,
    /// Near the truth, and right once nothing has moved for a while.
    Approximate,
    /// As of one moment.
    Exact,
}

/// The terms on which a delivery is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseTerms {
    /// Length of a lease; `None`: held until settled or disconnected.
    pub duration: Option<Duration>,
    /// Whether [`Receiver::extend`](crate::Receiver::extend) prolongs it.
    pub extendable: bool,
    /// Longest total time of one delivery, extensions included; `None`: no cap. A longer lease asked
    /// for when subscribing is cut to it.
    pub total_max: Option<Duration>,
}

impl Capability {
    /// One sentence per guarantee that a stronger bus would give and this one does not.
    #[must_use]
    pub fn weaknesses(&self) -> Vec<String> {
        let mut found = Vec::new();
        match self.durability {
            Durability::Volatile => found.push("messages are gone when the process ends".to_owned()),
            Durability::Disk => found.push("accepted messages survive the process, on this one disk".to_owned()),
            Durability::Replicated => {}
        }
        if self.reach == Reach::Process {
            found.push("only this process can receive".to_owned());
        }
        if self.order == Order::None {
            found.push("no order per key over several consumers".to_owned());
        }
        if let Some(lease) = self.lease.duration {
            found.push(format!("a delivery not settled within {lease:?} is delivered again"));
        }
        found
    }
}

impl fmt::Display for Durability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Volatile => "volatile",
            Self::Disk => "disk",
            Self::Replicated => "replicated",
        })
    }
}

impl fmt::Display for Counting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Approximate => "approximate",
            Self::Exact => "exact",
        })
    }
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Process => "process",
            Self::Network => "network",
        })
    }
}
