//! Models of brokers: one queue, and what makes each broker another as data.
//!
//! | module | one idea |
//! |---|---|
//! | `semantics` | four brokers, as data |
//! | `interference` | what may go wrong inside a broker, asked where it could |
//! | `queue` | what waits, what is out, what comes back |
//! | `state` | destinations, groups, deduplication |
//! | `connection` | [`Bus`](bus::Bus) for one process |
//! | `receiver` | [`Receiver`](bus::Receiver) for one consumer |
//!
//! ```
//! use bus::{Bus, Declaration, Destination, Seams};
//! use simulator::broker::{Broker, Model};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> bus::Result<()> {
//! let broker = Broker::new(Model::Kafka.semantics(), Seams::system());
//! let bus = broker.connect();
//! bus.declare(&[Declaration::of(Destination::new("orders")?)]).await?;
//! # Ok(())
//! # }
//! ```

mod connection;
mod grouping;
mod interference;
mod queue;
mod receiver;
mod semantics;
mod settling;
mod state;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bus::{Destination, Message, Seams, Subscription};

pub use connection::Connection;
pub use interference::{Interference, Undisturbed};
pub use semantics::{Model, Selection, Semantics};

use state::State;

/// A broker, which outlives every process. Clones of the handle are the same broker.
#[derive(Debug)]
pub struct Broker {
    semantics: Semantics,
    seams: Seams,
    interference: Arc<dyn Interference>,
    state: Mutex<State>,
}

impl Broker {
    /// An empty broker that does what it should.
    #[must_use]
    pub fn new(semantics: Semantics, seams: Seams) -> Arc<Self> {
        Self::disturbed(semantics, seams, Arc::new(Undisturbed))
    }

    /// An empty broker in which `interference` goes wrong.
    #[must_use]
    pub fn disturbed(semantics: Semantics, seams: Seams, interference: Arc<dyn Interference>) -> Arc<Self> {
        Arc::new(Self { semantics, seams, interference, state: Mutex::default() })
    }

    /// A new connection, as a process makes one.
    #[must_use]
    pub fn connect(self: &Arc<Self>) -> Arc<Connection> {
        Arc::new(Connection::new(Arc::clone(self), self.state().next_number()))
    }

    /// Every connection breaks, and what was out on them comes back: a node of the broker was
    /// replaced. Messages are kept.
    pub fn restart(&self) {
        let now = self.seams.clock.now();
        self.state().take_all_back(now, &self.semantics);
    }

    /// Puts a message on a destination as a producer without this library does, past every check.
    /// Whether there is such a destination.
    pub fn publish_foreign(&self, destination: &Destination, message: &Message) -> bool {
        let mut state = self.state();
        let is_known = state.is_declared(destination);
        if is_known {
            state.put(self, destination, message, std::time::Duration::ZERO);
        }
        is_known
    }

    /// What waits or is out on a subscription, in order. Empty when it was not declared.
    #[must_use]
    pub fn waiting(&self, subscription: &Subscription) -> Vec<Message> {
        self.state().queue(subscription).map(queue::Queue::messages).unwrap_or_default()
    }

    /// How many messages wait or are out on a subscription.
    #[must_use]
    pub fn waiting_count(&self, subscription: &Subscription) -> usize {
        let now = self.seams.clock.now();
        self.state().queue(subscription).map_or(0, |queue| queue.depth(now).total_count())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
