//! One running handler: panics are caught, and it can be cancelled.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::future::{AbortHandle, Abortable};

use super::{Envelope, Failure, Handled, Handler};

/// A handler's future that turns a panic into a failed attempt, also one while it is dropped.
pub(super) struct Guarded<'a>(Option<Pin<Box<dyn Future<Output = Handled> + Send + 'a>>>);

impl<'a> Guarded<'a> {
    /// Calls the handler; nothing of it runs before the first poll, a panic of the call included.
    pub(super) fn call(handler: &'a dyn Handler, envelope: Envelope) -> Self {
        match catch_unwind(AssertUnwindSafe(|| handler.handle(envelope))) {
            Ok(future) => Self(Some(future)),
            Err(panic) => Self(Some(Box::pin(std::future::ready(Err(panicked(&*panic)))))),
        }
    }
}

impl Future for Guarded<'_> {
    type Output = Handled;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Handled> {
        let Some(future) = &mut self.0 else { return Poll::Pending };
        match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
            Ok(polled) => polled,
            Err(panic) => Poll::Ready(Err(panicked(&*panic))),
        }
    }
}

impl Drop for Guarded<'_> {
    fn drop(&mut self) {
        // The answer, or the reason for the cancellation, is known already: a panic adds nothing.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(self.0.take())));
    }
}

fn panicked(panic: &(dyn Any + Send)) -> Failure {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    Failure::Retry(format!("the handler panicked: {}", text.unwrap_or("no message")))
}

/// A handler that did not finish at its first poll.
pub(super) struct Flight<'a> {
    place: usize,
    handler: Abortable<Guarded<'a>>,
}

impl<'a> Flight<'a> {
    /// Goes on polling `handler`, which belongs to `place` in the hand, until done or aborted.
    pub(super) fn new(place: usize, handler: Guarded<'a>) -> (Self, AbortHandle) {
        let (abort, registration) = AbortHandle::new_pair();
        (Self { place, handler: Abortable::new(handler, registration) }, abort)
    }
}

impl Future for Flight<'_> {
    /// The place, and the handler's answer unless it was aborted.
    type Output = (usize, Option<Handled>);

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let place = self.place;
        Pin::new(&mut self.handler).poll(context).map(|handled| (place, handled.ok()))
    }
}
