//! Ports used wrong.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bus::Result;
use services::consumer::ports::{Answer, LocalBooks, Payment, Ports, Shipping, Stock};
use services::domain::{Money, OrderNumber};

/// A repeated charge is a new one.
pub(super) struct KeyedByCall {
    inner: Arc<dyn Payment>,
    books: Arc<LocalBooks>,
    call_count: AtomicU64,
}

impl KeyedByCall {
    pub(super) fn new(inner: Arc<dyn Payment>, books: Arc<LocalBooks>) -> Self {
        Self { inner, books, call_count: AtomicU64::new(0) }
    }
}

#[async_trait]
impl Payment for KeyedByCall {
    async fn charge(&self, number: &OrderNumber, amount: Money) -> Result<Answer> {
        let call = self.call_count.fetch_add(1, Ordering::Relaxed);
        if self.books.of_order(number).await?.payments.is_empty() {
            return self.inner.charge(number, amount).await;
        }
        let attempt = OrderNumber::parse(&format!("{number}-{call}")).expect("a longer number is one");
        self.inner.charge(&attempt, amount).await
    }

    async fn refund(&self, number: &OrderNumber) -> Result<()> {
        self.inner.refund(number).await
    }
}

/// Does things once and undoes them as often as it is asked to.
pub(super) struct CompensatedAgain {
    pub(super) doing: Ports,
    /// Books that do not look whether a step is undone.
    pub(super) undoing: LocalBooks,
}

#[async_trait]
impl Stock for CompensatedAgain {
    async fn reserve(&self, number: &OrderNumber, product: &str, quantity: u32) -> Result<Answer> {
        self.doing.stock.reserve(number, product, quantity).await
    }

    async fn release(&self, number: &OrderNumber) -> Result<()> {
        self.undoing.release(number).await
    }
}

#[async_trait]
impl Payment for CompensatedAgain {
    async fn charge(&self, number: &OrderNumber, amount: Money) -> Result<Answer> {
        self.doing.payment.charge(number, amount).await
    }

    async fn refund(&self, number: &OrderNumber) -> Result<()> {
        self.undoing.refund(number).await
    }
}

#[async_trait]
impl Shipping for CompensatedAgain {
    async fn ship(&self, number: &OrderNumber) -> Result<Answer> {
        self.doing.shipping.ship(number).await
    }

    async fn call_back(&self, number: &OrderNumber) -> Result<()> {
        self.undoing.call_back(number).await
    }
}
