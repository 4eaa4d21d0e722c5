//! What may go wrong inside a broker, asked at the places where it could.

use std::time::Duration;

use bus::{Destination, Message, Moment};

/// Decides what goes wrong. Every method answers "nothing" where it is not overridden.
///
/// A broker may do all of this and keep its word: it delivers at least once, and promises order only
/// where [`Capability::order`](bus::Capability::order) says so.
pub trait Interference: Send + Sync + std::fmt::Debug {
    /// When each copy of an accepted message becomes visible, counted from its time: one copy, at once.
    fn copies(&self, destination: &Destination, message: &Message) -> Vec<Duration> {
        let _ = (destination, message);
        vec![Duration::ZERO]
    }

    /// Until when nothing leaves the queue of `destination`.
    fn stalled_until(&self, destination: &Destination, now: Moment) -> Option<Moment> {
        let _ = (destination, now);
        None
    }

    /// How long the lease is, where it ends before its time; without leases: when the broker takes
    /// the delivery back.
    fn early_end(&self, message: &Message, receive_count: u32) -> Option<Duration> {
        let _ = (message, receive_count);
        None
    }

    /// Whether an acknowledgement is answered and lost: the message comes again after this time.
    fn forgotten_ack(&self, message: &Message) -> Option<Duration> {
        let _ = message;
        None
    }
}

/// A broker that does what it should.
#[derive(Clone, Copy, Debug, Default)]
pub struct Undisturbed;

impl Interference for Undisturbed {}
