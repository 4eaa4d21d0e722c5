//! The outbox relay: every row is published until it is accepted, per key in order.

mod desk;
mod outages;
mod rows;
