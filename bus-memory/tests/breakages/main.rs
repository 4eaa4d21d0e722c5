//! The suite can fail: each test breaks one promise on purpose, by a layer around an honest bus, and
//! the case that names the promise must notice.
//!
//! A file holds the breakages of one part of the contract: the table of what breaks what, then the
//! layers that do it. A breakage joins by a line in a table.

#[macro_use]
mod breakage;
mod forged;
mod layers;

mod content;
mod publish;

mod receive;

mod dead_letters;
mod settle;
mod settlements;

mod extend;
mod lease;
