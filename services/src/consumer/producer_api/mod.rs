//! The way to the producer: a port, and its HTTP implementation over any transport.

mod http_api;
mod transport;

use async_trait::async_trait;
use bus::pipeline::Failure;

use crate::domain::{Order, OrderNumber};
use crate::wire::ResultBody;

pub use http_api::HttpProducerApi;
pub use transport::{InProcess, Socket, Transport};

/// What the consumer asks of the producer.
///
/// Errors are failures of the message at hand: [`Failure::Unavailable`] when the producer does not
/// answer or refuses us, [`Failure::Retry`] when its answer makes no sense.
#[async_trait]
pub trait ProducerApi: Send + Sync + std::fmt::Debug {
    /// Whether it answers at all.
    ///
    /// # Errors
    /// [`Failure::Unavailable`] when not.
    async fn health(&self) -> Result<(), Failure>;

    /// The order of that number; `None` when the producer knows none.
    ///
    /// # Errors
    /// See the trait.
    async fn order(&self, number: &OrderNumber) -> Result<Option<Order>, Failure>;

    /// At most `limit` changes after `after`.
    ///
    /// # Errors
    /// See the trait.
    async fn changes(&self, after: u64, limit: usize) -> Result<Changes, Failure>;

    /// Brings a result.
    ///
    /// # Errors
    /// See the trait.
    async fn put_result(&self, number: &OrderNumber, result: &ResultBody) -> Result<PutAnswer, Failure>;
}

/// A page of the producer's change sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changes {
    /// Orders as they are now.
    pub items: Vec<Order>,
    /// The sequence read up to.
    pub next: u64,
    /// Whether there is more.
    pub has_more: bool,
}

/// What the producer said to a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PutAnswer {
    /// It is applied, now or before.
    Applied,
    /// There is no such order.
    NotFound,
    /// The order stands where this result does not fit.
    Conflict,
}
