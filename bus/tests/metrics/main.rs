//! Metrics of a bus and its handlers, as a scrape sees them.

mod depths;
mod in_flight;
mod odd_backend;
mod processing;
mod rig;
mod scenario;
