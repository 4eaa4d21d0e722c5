//! Durable attempts in memory, with a store that can be slow or down.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use bus::pipeline::{Attempts, Begun};
use bus::{ClockExt, Error, ErrorKind, MessageId, Result, Seams, Subscription};

/// Counts that outlive a pipeline. Clones are the same counts.
#[derive(Clone, Debug)]
pub struct Counts {
    seams: Seams,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    starts: BTreeMap<String, u32>,
    done: BTreeSet<String>,
    begin_call_count: usize,
    is_down: bool,
    begin_takes: Duration,
    forgive_takes: Duration,
}

impl Counts {
    /// Nothing counted, at once.
    #[must_use]
    pub fn new(seams: Seams) -> Self {
        Self { seams, state: Arc::default() }
    }

    /// Starts counted for a message.
    #[must_use]
    pub fn of(&self, id: &str) -> u32 {
        self.lock().starts.get(id).copied().unwrap_or_default()
    }

    /// Calls of `begin` so far.
    #[must_use]
    pub fn begin_call_count(&self) -> usize {
        self.lock().begin_call_count
    }

    /// The message was processed before.
    pub fn finish(&self, id: &str) {
        self.lock().done.insert(id.to_owned());
    }

    /// Whether the store answers errors from now on.
    pub fn set_down(&self, is_down: bool) {
        self.lock().is_down = is_down;
    }

    /// How long each call takes before it has its effect.
    pub fn slow_down(&self, begin_takes: Duration, forgive_takes: Duration) {
        let mut state = self.lock();
        (state.begin_takes, state.forgive_takes) = (begin_takes, forgive_takes);
    }

    async fn reach(&self, span: Duration) -> Result<()> {
        if !span.is_zero() {
            self.seams.clock.sleep(span).await;
        }
        if self.lock().is_down {
            return Err(Error::new(ErrorKind::Unavailable, "begin", "the store is down"));
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds this")
    }
}

#[async_trait]
impl Attempts for Counts {
    async fn begin(&self, _subscription: &Subscription, messages: &[MessageId]) -> Result<Vec<Begun>> {
        let span = {
            let mut state = self.lock();
            state.begin_call_count += 1;
            state.begin_takes
        };
        self.reach(span).await?;
        let mut state = self.lock();
        let mut begin = |id: &MessageId| {
            if state.done.contains(&id.to_string()) {
                return Begun::Done;
            }
            let count = state.starts.entry(id.to_string()).or_default();
            *count += 1;
            Begun::Attempt(*count)
        };
        Ok(messages.iter().map(&mut begin).collect())
    }

    async fn forgive(&self, _subscription: &Subscription, messages: &[MessageId]) -> Result<()> {
        let span = self.lock().forgive_takes;
        self.reach(span).await?;
        let mut state = self.lock();
        for id in messages {
            if let Some(count) = state.starts.get_mut(&id.to_string()) {
                *count = count.saturating_sub(1);
            }
        }
        Ok(())
    }

    async fn forget(&self, _subscription: &Subscription, message: &MessageId) -> Result<()> {
        self.lock().starts.remove(&message.to_string());
        Ok(())
    }
}
