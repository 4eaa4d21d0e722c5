//! Each layer's and each middleware's own promises, around the bus in memory and in virtual time.
//! That they keep the bus's promises as well is shown by the conformance suite of `bus-memory`.

mod circuit_breaker;
mod claim_check;
mod fault_injection;
mod retry;
mod rig;
mod script;
mod throttle;
mod timeout;
