//! Numbering the calls through the seams, and killing a service at one of them.

use std::sync::{Arc, Mutex, MutexGuard};

use super::Life;

/// On which side of a call the service dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// The call has had no effect.
    Before,
    /// The call has had its effect, and nobody learns of it.
    After,
}

/// A call that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// Which seam and which verb.
    pub name: &'static str,
    /// Whether it has returned: a receive on an empty queue does not.
    pub returned: bool,
}

/// Numbers calls from 1 on and trips at most once.
#[derive(Clone, Debug, Default)]
pub struct Tripwire(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    calls: Vec<Call>,
    trip: Option<(usize, When)>,
    tripped: bool,
}

impl Tripwire {
    /// The service that makes call number `call` dies there.
    pub fn set(&self, call: usize, when: When) {
        self.state().trip = Some((call, when));
    }

    /// The calls made so far, in order.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.state().calls.clone()
    }

    /// Whether the service has died of it.
    #[must_use]
    pub fn has_tripped(&self) -> bool {
        self.state().tripped
    }

    /// Makes a call of a service: `name` is for people.
    pub(super) async fn call<T>(&self, name: &'static str, life: &Life, call: impl Future<Output = T>) -> T {
        let (number, trip) = {
            let mut state = self.state();
            state.calls.push(Call { name, returned: false });
            let number = state.calls.len();
            (number, state.trip.filter(|(at, _)| *at == number).map(|(_, when)| when))
        };
        if trip == Some(When::Before) {
            return self.die(life).await;
        }
        let output = if life.is_over() { std::future::pending().await } else { call.await };
        self.state().calls[number - 1].returned = true;
        if trip == Some(When::After) {
            return self.die(life).await;
        }
        output
    }

    /// The process is gone: nothing it awaits returns.
    async fn die<T>(&self, life: &Life) -> T {
        self.state().tripped = true;
        life.end();
        std::future::pending().await
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no test panics while it holds this")
    }
}
