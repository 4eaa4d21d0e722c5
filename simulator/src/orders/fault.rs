//! The kinds of faults, typed by what they mean.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::broker::Model;

macro_rules! faults {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// One kind of fault.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Fault { $($(#[doc = $doc])+ $name,)+ }

        impl Fault {
            /// All kinds.
            pub const ALL: &[Self] = &[$(Self::$name,)+];
        }
    };
}

faults! {
    /// A publish is lost before the broker: no answer, and nothing there.
    PublishLost,
    /// A publish is accepted and its answer is lost.
    PublishAnswerLost,
    /// A publish is throttled.
    PublishThrottled,
    /// Some messages of a publish batch are refused for now.
    PublishPartial,
    /// A publish takes long.
    PublishSlow,
    /// An accepted message is there twice.
    Duplicate,
    /// It is there again much later.
    DuplicateLate,
    /// An accepted message becomes visible late.
    Delayed,
    /// A little late, so that others overtake it.
    Reordered,
    /// Nothing leaves a queue for a while.
    HeadStall,
    /// A lease ends while the message is being processed.
    LeaseEndsEarly,
    /// An acknowledgement is answered and lost.
    AckLost,
    /// A settlement arrives after the lease has ended, from a zombie.
    SettlementLate,
    /// A settlement of a batch fails.
    SettlementPartial,
    /// The broker restarts: what was out comes back.
    BrokerRestart,
    /// Partitions move to another consumer.
    Rebalance,
    /// Messages that nobody can read.
    Poison,
    /// Messages that were cut off.
    Truncated,
    /// A producer of an older version: no id, no version, no headers.
    MixedVersions,
    /// A store refuses a write.
    StoreError,
    /// A store applies a write and answers with an error.
    StoreUnknown,
    /// A store takes long.
    StoreSlow,
    /// A crash loses writes that were not flushed.
    StoreLoss,
    /// A connection is refused.
    HttpRefused,
    /// A call takes long.
    HttpSlow,
    /// A request is lost.
    HttpRequestLost,
    /// A response is lost.
    HttpResponseLost,
    /// A request arrives twice.
    HttpDuplicate,
    /// A server error.
    HttpServerError,
    /// An old answer to the same question.
    HttpStale,
    /// Requests arrive and no response comes back, for a while.
    HttpPartition,
    /// A process dies before a call.
    CrashBefore,
    /// A process dies after a call.
    CrashAfter,
    /// A calendar is wrong.
    ClockSkew,
    /// A calendar jumps.
    ClockJump,
    /// All orders come at once.
    Burst,
}

impl Fault {
    /// Its name on the command line and in plans.
    #[must_use]
    pub fn name(self) -> &'static str {
        static NAMES: LazyLock<Vec<String>> = LazyLock::new(|| Fault::ALL.iter().map(kebab).collect());
        &NAMES[self as usize]
    }

    /// The kind of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|fault| fault.name() == name)
    }

    /// Whether it happens by being in a plan, and no call is asked about it.
    #[must_use]
    pub fn happens_by_presence(self) -> bool {
        matches!(self, Self::ClockSkew | Self::StoreLoss | Self::Burst)
    }

    /// Why this cannot happen on a broker; `None`: it can.
    #[must_use]
    pub fn excluded_by(self, model: Model) -> Option<&'static str> {
        let semantics = model.semantics();
        match self {
            Self::Duplicate | Self::DuplicateLate if semantics.deduplication.is_some() => {
                Some("the broker drops duplicates within five minutes")
            }
            Self::LeaseEndsEarly | Self::SettlementLate if semantics.capability.lease.duration.is_none() => {
                Some("there are no leases that end")
            }
            Self::SettlementPartial if semantics.is_bound_to_connection => {
                Some("a settlement that fails is a broken connection, and all comes back")
            }
            Self::AckLost if semantics.commits_prefix => {
                Some("what is settled is a committed position, which is repeated with the next commit")
            }
            Self::Rebalance if !semantics.commits_prefix => Some("there are no partitions"),
            Self::BrokerRestart if !semantics.is_bound_to_connection => Some("nothing is bound to a connection"),
            _ => None,
        }
    }
}

fn kebab(fault: &Fault) -> String {
    let mut words = String::new();
    for (index, letter) in format!("{fault:?}").chars().enumerate() {
        if letter.is_uppercase() && index > 0 {
            words.push('-');
        }
        words.extend(letter.to_lowercase());
    }
    words
}

/// How often each kind has fired. Clones are the same counts.
#[derive(Clone, Debug, Default)]
pub struct Fired(Arc<Mutex<BTreeMap<Fault, u64>>>);

impl Fired {
    /// One more.
    pub fn note(&self, fault: Fault) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(fault).or_default() += 1;
    }

    /// The counts by now.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<Fault, u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for fault in Fault::ALL {
            assert_eq!(Fault::named(fault.name()), Some(*fault));
        }
        assert_eq!(Fault::HttpResponseLost.name(), "http-response-lost");
    }
}
