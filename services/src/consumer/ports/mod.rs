//! What processing an order touches outside of it: stock, payment, shipping.
//!
//! Each call names the order's step as its key (`ORD-…:PAID`), never the attempt: a repeated call
//! is the same call. Undoing also closes the step: doing it afterwards, by a worker that was
//! overtaken, does nothing. That keeps the books right even though they are committed apart from
//! the order.

mod books;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bus::Result;

use crate::domain::{Money, OrderNumber};

pub use books::{Books, BooksOfOrder, Entry, LocalBooks, PaymentEntry, ProductBook, StockLevels};

/// What a port is asked to do for an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Take the units from stock.
    StockReserved,
    /// Charge the total.
    Paid,
    /// Ship.
    Shipped,
}

impl Step {
    /// The key of doing it for an order.
    #[must_use]
    pub fn key(self, number: &OrderNumber) -> String {
        let step = match self {
            Self::StockReserved => "STOCK_RESERVED",
            Self::Paid => "PAID",
            Self::Shipped => "SHIPPED",
        };
        format!("{number}:{step}")
    }

    /// The key of undoing it for an order.
    #[must_use]
    pub fn undo_key(self, number: &OrderNumber) -> String {
        let step = match self {
            Self::StockReserved => "STOCK_RELEASED",
            Self::Paid => "REFUNDED",
            Self::Shipped => "SHIPMENT_CANCELLED",
        };
        format!("{number}:{step}")
    }
}

/// A port's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is done, now or before.
    Done,
    /// It cannot be done: out of stock, payment declined.
    Declined,
    /// It was undone before, so it is not done any more.
    Closed,
}

/// The warehouse.
#[async_trait]
pub trait Stock: Send + Sync {
    /// Takes `quantity` units of `product` for the order.
    ///
    /// # Errors
    /// When the port does not answer: it may or may not be done.
    async fn reserve(&self, number: &OrderNumber, product: &str, quantity: u32) -> Result<Answer>;

    /// Puts back what the order took, if anything, and closes the step.
    ///
    /// # Errors
    /// When the port does not answer.
    async fn release(&self, number: &OrderNumber) -> Result<()>;
}

/// The payment provider.
#[async_trait]
pub trait Payment: Send + Sync {
    /// Charges `amount` for the order.
    ///
    /// # Errors
    /// When the port does not answer: it may or may not be done.
    async fn charge(&self, number: &OrderNumber, amount: Money) -> Result<Answer>;

    /// Pays back what the order paid, if anything, and closes the step.
    ///
    /// # Errors
    /// When the port does not answer.
    async fn refund(&self, number: &OrderNumber) -> Result<()>;
}

/// The carrier.
#[async_trait]
pub trait Shipping: Send + Sync {
    /// Ships the order.
    ///
    /// # Errors
    /// When the port does not answer: it may or may not be done.
    async fn ship(&self, number: &OrderNumber) -> Result<Answer>;

    /// Calls the shipment back, if there is one, and closes the step.
    ///
    /// # Errors
    /// When the port does not answer.
    async fn call_back(&self, number: &OrderNumber) -> Result<()>;
}

/// The three ports together, and the books to show where they are ours.
#[derive(Clone)]
pub struct Ports {
    /// The warehouse.
    pub stock: Arc<dyn Stock>,
    /// The payment provider.
    pub payment: Arc<dyn Payment>,
    /// The carrier.
    pub shipping: Arc<dyn Shipping>,
    /// What the routes show.
    pub books: Arc<LocalBooks>,
}

impl Ports {
    /// All three ports are the local books.
    #[must_use]
    pub fn local(books: Arc<LocalBooks>) -> Self {
        Self {
            stock: Arc::clone(&books) as _,
            payment: Arc::clone(&books) as _,
            shipping: Arc::clone(&books) as _,
            books,
        }
    }
}

impl fmt::Debug for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ports").finish_non_exhaustive()
    }
}
