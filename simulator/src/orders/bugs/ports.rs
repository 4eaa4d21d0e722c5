//! Ports used wrong.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bus::Result;
use services::consumer::ports::{Answer, LocalBooks, Payment};
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
