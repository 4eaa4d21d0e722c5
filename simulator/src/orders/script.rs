//! On which occasions a fault happens: as the dice fall and written down, or as it is written.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bus::Message;
use services::store::Batch;

use super::fault::Fault;
use super::names::Names;
use super::plan::{Plan, Strike};
use super::writes;

/// The n-th time that a fault could befall somebody.
type Occasion = (Fault, String, u32);

/// Clones are the same script.
#[derive(Clone, Debug)]
pub(super) struct Script(Option<Arc<Mutex<State>>>);

#[derive(Debug)]
struct State {
    names: Names,
    /// How long each takes; `None`: the dice decide.
    written: Option<BTreeMap<Occasion, u64>>,
    asked: BTreeMap<(Fault, String), u32>,
    taken: Vec<Strike>,
    met: BTreeSet<Occasion>,
}

impl Script {
    /// Follows what is written in the plan. Otherwise the dice decide, and only what `is_kept` costs
    /// the time to write it down.
    pub(super) fn of(plan: &Plan, is_kept: bool) -> Self {
        if plan.strikes.is_none() && !is_kept {
            return Self(None);
        }
        let by_occasion = |strike: &Strike| ((strike.fault, strike.whom.clone(), strike.nth), strike.length_ms);
        let written = plan.strikes.as_ref().map(|strikes| strikes.iter().map(by_occasion).collect());
        let names = Names::of(plan);
        let state = State { names, written, asked: BTreeMap::new(), taken: Vec::new(), met: BTreeSet::new() };
        Self(Some(Arc::new(Mutex::new(state))))
    }

    fn state(&self) -> Option<MutexGuard<'_, State>> {
        Some(self.0.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Gives a message its name.
    pub(super) fn learn(&self, message: &Message) {
        if let Some(mut state) = self.state() {
            state.names.learn(message);
        }
    }

    /// `text` with names that stay, where a script is kept.
    pub(super) fn stable(&self, text: &str) -> String {
        self.state().map_or_else(|| text.to_owned(), |state| state.names.stable(text))
    }

    /// What a write is about, where a script is kept.
    pub(super) fn written(&self, batch: &Batch) -> String {
        self.state().map_or_else(String::new, |state| writes::about(batch, &state.names))
    }

    /// How long the fault takes if it happens now: as drawn, or as written.
    pub(super) fn decide(&self, fault: Fault, whom: &str, drawn: Option<Duration>) -> Option<Duration> {
        let Some(mut state) = self.state() else { return drawn };
        let whom = state.names.stable(whom);
        let nth = {
            let count = state.asked.entry((fault, whom.clone())).or_default();
            *count += 1;
            *count
        };
        let occasion = (fault, whom, nth);
        let length = match &state.written {
            Some(written) => written.get(&occasion).map(|milliseconds| Duration::from_millis(*milliseconds)),
            None => drawn,
        }?;
        let length_ms = u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
        state.met.insert(occasion.clone());
        state.taken.push(Strike { fault, whom: occasion.1, nth, at_ms: None, length_ms });
        Some(length)
    }

    /// Writes down a fault that comes by itself.
    pub(super) fn note_timed(&self, strike: Strike) {
        if let Some(mut state) = self.state() {
            state.taken.push(strike);
        }
    }

    /// What has happened, in the words of a plan.
    pub(super) fn taken(&self) -> Vec<Strike> {
        self.state().map(|state| state.taken.clone()).unwrap_or_default()
    }

    /// What is written and did not happen, since the run never came to it.
    pub(super) fn unmet(&self) -> Vec<String> {
        let Some(state) = self.state() else { return Vec::new() };
        let written = state.written.iter().flatten();
        let unmet =
            written.filter(|((_, whom, _), _)| !whom.is_empty()).filter(|(occasion, _)| !state.met.contains(*occasion));
        unmet.map(|((fault, whom, nth), _)| format!("{} of {whom}, occasion {nth}", fault.name())).collect()
    }
}
