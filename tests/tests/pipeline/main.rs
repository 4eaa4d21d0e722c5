//! The delivery pipeline, held to its promises in virtual time.

mod accidents;
mod answers;
mod attempts;
mod drain;
mod leases;
mod order;
mod outages;
mod pause;
mod poison;
mod random;
mod verdicts;
