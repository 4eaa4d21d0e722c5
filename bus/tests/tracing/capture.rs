//! A subscriber that keeps every span and event with its fields.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::DefaultGuard;
use tracing::{Event, Level, Metadata, Subscriber};

/// Fields by name, as text.
pub(crate) type Fields = BTreeMap<String, String>;

/// One span, or one event.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) name: &'static str,
    pub(crate) fields: Fields,
    /// Index of the span it happened in.
    pub(crate) within: Option<usize>,
}

impl Kept {
    /// The value of a field; `""` is none.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }
}

/// What happened on this thread, up to a level, in the targets of `bus`'s tracing and of the test.
#[derive(Clone)]
pub(crate) struct Capture {
    level_max: Level,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    spans: Vec<Kept>,
    events: Vec<Kept>,
    entered: Vec<usize>,
}

impl Capture {
    /// Captures until the guard is dropped.
    pub(crate) fn start(level_max: Level) -> (Self, DefaultGuard) {
        let capture = Self { level_max, state: Arc::default() };
        let guard = tracing::subscriber::set_default(capture.clone());
        (capture, guard)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All spans of this name, oldest first.
    pub(crate) fn spans(&self, name: &str) -> Vec<Kept> {
        self.state().spans.iter().filter(|span| span.name == name).cloned().collect()
    }

    /// The only span of this name.
    pub(crate) fn span(&self, name: &str) -> Kept {
        let mut spans = self.spans(name);
        assert_eq!(spans.len(), 1, "spans of the name {name}: {spans:?}");
        spans.remove(0)
    }

    /// All events with this message, oldest first.
    pub(crate) fn events(&self, message: &str) -> Vec<Kept> {
        let state = self.state();
        state.events.iter().filter(|event| event.get("message") == message).cloned().collect()
    }

    /// The span a span or an event happened in.
    pub(crate) fn around(&self, kept: &Kept) -> Option<Kept> {
        let state = self.state();
        kept.within.map(|index| state.spans[index].clone())
    }
}

fn index(id: &Id) -> usize {
    usize::try_from(id.into_u64()).expect("a small index") - 1
}

impl Subscriber for Capture {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= self.level_max && metadata.target().contains("tracing")
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let mut fields = Fields::new();
        attributes.record(&mut Reader(&mut fields));
        let mut state = self.state();
        let within = state.entered.last().copied();
        state.spans.push(Kept { name: attributes.metadata().name(), fields, within });
        Id::from_u64(state.spans.len() as u64)
    }

    fn record(&self, id: &Id, values: &Record<'_>) {
        values.record(&mut Reader(&mut self.state().spans[index(id)].fields));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields::new();
        event.record(&mut Reader(&mut fields));
        let mut state = self.state();
        let within = state.entered.last().copied();
        state.events.push(Kept { name: event.metadata().name(), fields, within });
    }

    fn enter(&self, id: &Id) {
        self.state().entered.push(index(id));
    }

    fn exit(&self, id: &Id) {
        let left = self.state().entered.pop();
        assert_eq!(left, Some(index(id)), "spans are left in the order they were entered");
    }
}

struct Reader<'a>(&'a mut Fields);

impl Visit for Reader<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}"));
    }
}
