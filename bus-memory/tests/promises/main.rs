//! What this bus promises, one test per promise, in virtual time.

mod rig;

mod back_pressure;
mod dead_letters;
#[cfg(feature = "journal")]
mod journal;
mod leases;
mod lifecycle;
mod order;
mod publish;
mod receive;
mod repeatable;
mod stress;
mod toggles;
mod url;
