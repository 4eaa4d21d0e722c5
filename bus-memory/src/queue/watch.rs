//! Who waits for the queue, so that nobody is woken for nothing.

use bus::Moment;

/// Later than every deadline: somebody waits without a timer.
const FAR: Moment = Moment::from_origin(std::time::Duration::MAX);

/// One kind of waiting future: those in `receive`, or those in `lost`.
///
/// Each arms a timer for the first deadline it sees and then sleeps, so it must be called when its
/// cause arises, or when a deadline arises that is earlier than its timer.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    /// The latest timer among those who wait; `None`: nobody does. It may be later than the truth,
    /// as a dropped future does not report; then a call is made for nothing.
    armed_until: Option<Moment>,
    is_called: bool,
}

impl Watch {
    /// Somebody is about to wait, until `timer` at most.
    pub(crate) fn wait(&mut self, timer: Option<Moment>) {
        self.armed_until = self.armed_until.max(Some(timer.unwrap_or(FAR)));
    }

    /// What they wait for has come.
    pub(crate) fn call(&mut self) {
        self.is_called |= self.armed_until.is_some();
    }

    /// A deadline was set.
    pub(crate) fn deadline(&mut self, deadline: Moment) {
        self.is_called |= self.armed_until.is_some_and(|armed| deadline < armed);
    }

    /// Whether to wake them; afterwards nobody waits.
    pub(crate) fn take_call(&mut self) -> bool {
        if self.is_called {
            self.armed_until = None;
        }
        std::mem::take(&mut self.is_called)
    }
}
