//! What stands around the handlers.

use async_trait::async_trait;
use bus::middleware::Middleware;
use bus::pipeline::{Envelope, Failure, Handled, Handler};

use super::super::scene::order_queue;

tokio::task_local! {
    static IN_ORDER_HANDLER: ();
}

/// Lets a store know when the handler of orders is asking.
pub(super) struct InOrderHandler;

#[async_trait]
impl Middleware for InOrderHandler {
    async fn handle(&self, envelope: Envelope, next: &dyn Handler) -> Handled {
        if *envelope.subscription().destination() == order_queue() {
            IN_ORDER_HANDLER.scope((), next.handle(envelope)).await
        } else {
            next.handle(envelope).await
        }
    }
}

/// Whether the handler of orders is asking.
pub(super) fn is_in_order_handler() -> bool {
    IN_ORDER_HANDLER.try_with(|()| ()).is_ok()
}

/// Takes what is rejected for something that might pass.
pub(super) struct Retried;

#[async_trait]
impl Middleware for Retried {
    async fn handle(&self, envelope: Envelope, next: &dyn Handler) -> Handled {
        match next.handle(envelope).await {
            Err(Failure::Reject(reason)) => Err(Failure::Retry(reason)),
            handled => handled,
        }
    }
}
