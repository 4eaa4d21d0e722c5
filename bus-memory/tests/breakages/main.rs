//! The suite can fail: each test breaks one promise on purpose, by a layer around an honest bus, and
//! the case that names the promise must notice.
//!
//! A file holds the breakages of one part of the contract: the table of what breaks what, then the
//! layers that do it. A breakage joins by a line in a table, and a table by its place in `TABLES`.

use std::collections::BTreeSet;

use bus::conformance::{Case, cases};

#[macro_use]
mod breakage;
mod forged;
mod layers;
#[path = "../conformance/wire/mod.rs"]
mod wire;
mod wired;

mod content;
mod publish;

mod receive;
mod undecodable;

mod dead_letters;
mod replays;
mod settle;
mod settlements;

mod extend;
mod lease;

mod order;

mod delay;

mod topology;

mod pipeline;

mod lifecycle;

mod outage;

mod exposure;

mod typed;

const TABLES: &[&[&str]] = &[
    content::BROKEN,
    publish::BROKEN,
    receive::BROKEN,
    undecodable::BROKEN,
    settle::BROKEN,
    settlements::BROKEN,
    dead_letters::BROKEN,
    replays::BROKEN,
    lease::BROKEN,
    extend::BROKEN,
    order::BROKEN,
    delay::BROKEN,
    topology::BROKEN,
    pipeline::BROKEN,
    lifecycle::BROKEN,
    outage::BROKEN,
    exposure::BROKEN,
    typed::BROKEN,
];

/// A case that nothing breaks may hold nothing.
#[test]
fn every_case_can_fail() {
    let broken: BTreeSet<&str> = TABLES.iter().copied().flatten().copied().collect();
    let unbroken: Vec<&str> = cases::all().map(Case::name).filter(|name| !broken.contains(name)).collect();
    assert!(unbroken.is_empty(), "nothing breaks {unbroken:?}");
}
