//! The delivery pipeline, held to its promises in virtual time.

mod accidents;
mod verdicts;
