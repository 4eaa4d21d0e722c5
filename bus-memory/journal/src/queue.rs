//! What the callers hand to the committer.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use tokio::sync::oneshot;

use crate::error::Error;
use crate::view::View;
use crate::write::Write;

/// One entry of the committer's queue.
pub(crate) enum Request {
    /// Run a change and answer once it is durable.
    Change(Change),
    /// Write, and answer nobody.
    Later(Write),
    /// A reader found the disk failing.
    Fail(Error),
    /// Finish what is queued before this, then end.
    Stop,
}

/// A change: what to write, and whom to tell.
pub(crate) type Change = Box<dyn FnOnce(&View<'_>) -> (Write, Answer) + Send>;

/// Tells the caller what became of its change.
pub(crate) type Answer = Box<dyn FnOnce(Result<(), Error>) + Send>;

/// Boxes a caller's closure: its result travels in the answer, so the committer needs not know its
/// type, and its panic stays its own.
pub(crate) fn change<R: Send + 'static>(
    change: impl FnOnce(&View<'_>) -> (Write, R) + Send + 'static,
    caller: oneshot::Sender<Result<R, Error>>,
) -> Change {
    Box::new(move |view| {
        // Unwind safe: the closure is gone after a panic, and a view has no state to break.
        match catch_unwind(AssertUnwindSafe(|| change(view))) {
            Ok((write, result)) => (write, Box::new(move |outcome| answer(caller, outcome.map(|()| result)))),
            Err(panic) => {
                let message = panic_message(&*panic).into();
                let refuse: Answer = Box::new(move |outcome| {
                    answer(caller, outcome.and(Err(Error::Panicked { message })));
                });
                (Write::new(), refuse)
            }
        }
    })
}

/// What a panic said, as far as it can be read.
pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&'static str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without a message")
}

/// A caller that stopped waiting needs no answer.
fn answer<R>(caller: oneshot::Sender<Result<R, Error>>, outcome: Result<R, Error>) {
    drop(caller.send(outcome));
}
