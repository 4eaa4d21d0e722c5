//! The suite can fail: each test breaks one promise on purpose, by a layer around an honest bus, and
//! the case that names the promise must notice.
//!
//! A file holds the breakages of one area: first the table of what breaks what, then the layers.

#[macro_use]
mod breakage;

mod publish;
