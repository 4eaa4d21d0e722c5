//! Tracing on both sides of a bus, as a subscriber sees it.

mod capture;
mod consuming;
mod publishing;
mod rig;
