//! What the HTTP routes promise, without sockets and in virtual time.

mod bad_input;
mod bad_results;
mod bodies;
mod conservation;
mod copies;
mod desk;
mod guarded;
mod idempotency;
mod lists;
mod posting;
mod results;
mod sync_pages;
