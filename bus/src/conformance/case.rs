//! A case, and what it needs of a bus.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use super::{Harness, Time, World};
use crate::Capability;
use crate::capability::{Counting, Durability, Order};

/// Longest wait of a case in real time. A cap on leases beyond it is tested in virtual time only.
const REAL_WAIT_MAX: Duration = Duration::from_secs(60);

/// One promise and the way to see it kept.
pub struct Case {
    pub(super) area: &'static str,
    pub(super) name: &'static str,
    pub(super) needs: &'static [Need],
    pub(super) run: for<'a> fn(&'a World) -> Pin<Box<dyn Future<Output = ()> + 'a>>,
}

impl Case {
    /// The promise, as a sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        self.name.replace('_', " ")
    }

    /// The name of its function in [`cases`](super::cases), unique over all areas.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The part of the contract it belongs to.
    #[must_use]
    pub fn area(&self) -> &'static str {
        self.area
    }

    /// What it cannot be shown without.
    #[must_use]
    pub fn needs(&self) -> &'static [Need] {
        self.needs
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}::{}", self.area, self.name)
    }
}

/// What a case needs of the bus or of its harness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// [`Capability::durability`] above volatile.
    Durable,
    /// [`Capability::order`] per key.
    OrderPerKey,
    /// [`Capability::delay_max`].
    Delay,
    /// No [`Capability::delay_max`].
    NoDelay,
    /// [`Capability::nack_delay_max`].
    NackDelay,
    /// No [`Capability::nack_delay_max`].
    NoNackDelay,
    /// Leases that end: [`LeaseTerms::duration`](crate::capability::LeaseTerms::duration).
    Lease,
    /// Deliveries that are held until settled.
    NoLease,
    /// Leases that end and can be extended.
    ExtendableLease,
    /// Leases that end and cannot be extended.
    FixedLease,
    /// A cap on extendable leases, short enough to be waited for.
    LeaseCap,
    /// [`Capability::receive_count`].
    ReceiveCount,
    /// [`Capability::release_uncounted`], and counts to see it by.
    ReleaseUncounted,
    /// No [`Capability::receive_count`].
    NoReceiveCount,
    /// [`Capability::dead_letters`].
    DeadLetters,
    /// No [`Capability::dead_letters`].
    NoDeadLetters,
    /// [`Capability::groups`].
    Groups,
    /// No [`Capability::groups`].
    NoGroups,
    /// [`Capability::message_bytes_max`].
    SizeLimit,
    /// [`Capability::publish_atomic`].
    AtomicPublish,
    /// [`Capability::settle_confirmed`].
    ConfirmedSettlement,
    /// No [`Capability::settle_confirmed`].
    UnconfirmedSettlement,
    /// [`Capability::depth`] at least approximate.
    Depth,
    /// [`Capability::depth`] exact.
    ExactDepth,
    /// No [`Capability::depth`].
    NoDepth,
    /// [`Capability::purge`].
    Purge,
    /// No [`Capability::purge`].
    NoPurge,
    /// [`Harness::outages`].
    Outages,
    /// [`Harness::secrets`].
    Secrets,
    /// [`Harness::api_call_count`].
    ApiCallCount,
    /// [`Harness::publish_undecodable`].
    Undecodable,
}

impl Need {
    /// The flag that is in the way, or nothing.
    pub(super) fn unmet(self, bus: &Capability, harness: &dyn Harness) -> Option<&'static str> {
        let cap_is_near = bus.lease.total_max.is_some_and(|cap| match harness.time() {
            Time::Virtual => true,
            Time::Real { .. } => cap <= REAL_WAIT_MAX,
        });
        let has_lease = bus.lease.duration.is_some();
        let (is_met, otherwise) = match self {
            Self::Durable => (bus.durability > Durability::Volatile, "durability is volatile"),
            Self::OrderPerKey => (bus.order == Order::PerKey, "order is none"),
            Self::Delay => (bus.delay_max.is_some(), "delay_max is none"),
            Self::NoDelay => (bus.delay_max.is_none(), "delay_max is set"),
            Self::NackDelay => (bus.nack_delay_max.is_some(), "nack_delay_max is none"),
            Self::NoNackDelay => (bus.nack_delay_max.is_none(), "nack_delay_max is set"),
            Self::Lease => (has_lease, "lease.duration is none"),
            Self::NoLease => (!has_lease, "lease.duration is set"),
            Self::ExtendableLease => (has_lease && bus.lease.extendable, "lease is not extendable"),
            Self::FixedLease => (has_lease && !bus.lease.extendable, "lease is extendable, or there is none"),
            Self::LeaseCap => {
                (has_lease && bus.lease.extendable && cap_is_near, "lease.total_max is none, or too long to wait for")
            }
            Self::ReceiveCount => (bus.receive_count, "receive_count is off"),
            Self::ReleaseUncounted => (bus.receive_count && bus.release_uncounted, "release_uncounted is off"),
            Self::NoReceiveCount => (!bus.receive_count, "receive_count is on"),
            Self::DeadLetters => (bus.dead_letters, "dead_letters is off"),
            Self::NoDeadLetters => (!bus.dead_letters, "dead_letters is on"),
            Self::Groups => (bus.groups, "groups is off"),
            Self::NoGroups => (!bus.groups, "groups is on"),
            Self::SizeLimit => (bus.message_bytes_max.is_some(), "message_bytes_max is none"),
            Self::AtomicPublish => (bus.publish_atomic, "publish_atomic is off"),
            Self::ConfirmedSettlement => (bus.settle_confirmed, "settle_confirmed is off"),
            Self::UnconfirmedSettlement => (!bus.settle_confirmed, "settle_confirmed is on"),
            Self::Depth => (bus.depth > Counting::None, "depth is none"),
            Self::ExactDepth => (bus.depth == Counting::Exact, "depth is not exact"),
            Self::NoDepth => (bus.depth == Counting::None, "depth is counted"),
            Self::Purge => (bus.purge, "purge is off"),
            Self::NoPurge => (!bus.purge, "purge is on"),
            Self::Outages => (harness.outages().is_some(), "this harness has no hold on its broker"),
            Self::Secrets => (!harness.secrets().is_empty(), "this harness has no secrets"),
            Self::ApiCallCount => (harness.api_call_count().is_some(), "this harness counts no calls"),
            Self::Undecodable => (harness.has_undecodable(), "nothing is undecodable on this bus"),
        };
        (!is_met).then_some(otherwise)
    }
}
