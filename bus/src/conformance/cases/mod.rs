//! The cases, by part of the contract. Each function is one promise; its name is the sentence.

mod content;
mod dead_letters;
mod delay;
mod exposure;
mod extensions;
mod interrupted_replays;
mod interruptions;
mod lease;
mod lifecycle;
mod order;
mod outage;
mod pipeline;
mod publish;
mod publishers;
mod receive;
mod rejects;
mod replays;
mod settle;
mod settlements;
mod sizes;
mod subscriptions;
mod topology;
mod typed;

use super::Case;

/// Lists the cases of a file: each with what it needs.
macro_rules! cases {
    ($area:literal: $($(#[$doc:meta])* $name:ident $([$($need:ident),+])?),+ $(,)?) => {
        pub(super) const CASES: &[$crate::conformance::Case] = &[$(
            $crate::conformance::Case {
                area: $area,
                name: stringify!($name),
                needs: &[$($($crate::conformance::Need::$need),+)?],
                run: |world| Box::pin($name(world)),
            }
        ),+];
    };
}
use cases;

/// Every case, in the order of a message's life.
pub fn all() -> impl Iterator<Item = &'static Case> {
    [
        content::CASES,
        publish::CASES,
        sizes::CASES,
        publishers::CASES,
        subscriptions::CASES,
        receive::CASES,
        settle::CASES,
        settlements::CASES,
        rejects::CASES,
        lease::CASES,
        extensions::CASES,
        order::CASES,
        delay::CASES,
        dead_letters::CASES,
        replays::CASES,
        interrupted_replays::CASES,
        typed::CASES,
        pipeline::CASES,
        interruptions::CASES,
        topology::CASES,
        lifecycle::CASES,
        outage::CASES,
        exposure::CASES,
    ]
    .into_iter()
    .flatten()
}

/// The case with this name.
#[must_use]
pub fn named(name: &str) -> Option<&'static Case> {
    all().find(|case| case.name() == name)
}
