//! Where a message belongs in a distributed trace, by the W3C recommendation
//! [Trace Context](https://www.w3.org/TR/trace-context/), carried in two headers.
//!
//! A producer writes its span into the message, the consumer reads it there, and what the handler
//! publishes in turn continues the same trace: [`layer::Tracing`](crate::layer::Tracing) and
//! [`middleware::Tracing`](crate::middleware::Tracing) do both. A header nobody can read never
//! fails a message: it begins a new trace, as the recommendation asks.

mod traceparent;

use std::fmt;
use std::num::{NonZeroU64, NonZeroU128};

use bytes::Bytes;

use crate::{Headers, Message, MessageId, Seams};

/// The header with trace, span and flags.
pub const TRACEPARENT: &str = "traceparent";
/// The header in which tracing systems pass on what is theirs.
pub const TRACESTATE: &str = "tracestate";

tokio::task_local! {
    static CURRENT: TraceContext;
}

/// One span of a trace, as a message carries it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceContext {
    trace_id: TraceId,
    span_id: SpanId,
    is_sampled: bool,
    state: Option<Bytes>,
}

/// Names a trace; prints as 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TraceId(NonZeroU128);

/// Names a span within its trace; prints as 16 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpanId(NonZeroU64);

impl TraceContext {
    /// The first span of a new trace, for what `identity` names.
    ///
    /// It is sampled: this crate makes no choice, as the default sampler of OpenTelemetry,
    /// `parentbased_always_on`.
    #[must_use]
    pub fn root(seams: &Seams, identity: &MessageId) -> Self {
        let bits = identity.with_text(|identity| seams.entropy.bits("trace id", identity));
        // One of 2^128 draws is no id; any other will do instead.
        let trace_id = TraceId(NonZeroU128::new(bits).unwrap_or(NonZeroU128::MAX));
        Self { trace_id, span_id: SpanId::draw(seams, identity), is_sampled: true, state: None }
    }

    /// A new span of the same trace, for what `identity` names; flags and state are inherited.
    #[must_use]
    pub fn child(&self, seams: &Seams, identity: &MessageId) -> Self {
        Self { span_id: SpanId::draw(seams, identity), ..self.clone() }
    }

    /// The span the handler runs in that is being polled, where
    /// [`middleware::Tracing`](crate::middleware::Tracing) or [`scope`](Self::scope) is around it.
    /// A task the handler spawns does not inherit it.
    #[must_use]
    pub fn current() -> Option<Self> {
        CURRENT.try_with(Clone::clone).ok()
    }

    /// Runs `work` with this span as the [`current`](Self::current) one.
    pub fn scope<F: Future>(self, work: F) -> impl Future<Output = F::Output> {
        CURRENT.scope(self, work)
    }

    /// The span that caused the message; `None` where its `traceparent` is missing or not legal.
    #[must_use]
    pub fn of(headers: &Headers) -> Option<Self> {
        let mut context = Self::parse(headers.text(TRACEPARENT)?)?;
        context.state = headers.get(TRACESTATE).cloned();
        Some(context)
    }

    /// Reads a `traceparent`. Later versions are read as far as version 00 goes, which is what they
    /// promise to allow; `None` for what is not legal.
    #[must_use]
    pub fn parse(traceparent: &str) -> Option<Self> {
        traceparent::read(traceparent)
    }

    /// The span as a `traceparent` of version 00.
    #[must_use]
    pub fn traceparent(&self) -> String {
        traceparent::write(self).iter().copied().map(char::from).collect()
    }

    /// Writes both headers, in place of earlier ones.
    pub fn write_to(&self, headers: &mut Headers) {
        headers.set(TRACEPARENT, Bytes::copy_from_slice(&traceparent::write(self)));
        match &self.state {
            Some(state) => headers.set(TRACESTATE, state.clone()),
            None => headers.remove(TRACESTATE),
        }
    }

    /// Writes both headers unless the message belongs to a trace already.
    pub(crate) fn offer_to(&self, message: &mut Message) {
        if Self::of(message.headers()).is_none() {
            self.write_to(message.headers_mut());
        }
    }

    /// Names the trace.
    #[must_use]
    pub fn trace_id(&self) -> TraceId {
        self.trace_id
    }

    /// Names the span.
    #[must_use]
    pub fn span_id(&self) -> SpanId {
        self.span_id
    }

    /// Whether somebody before us may have recorded the trace.
    #[must_use]
    pub fn is_sampled(&self) -> bool {
        self.is_sampled
    }

    /// What other tracing systems pass on, byte for byte as it came.
    #[must_use]
    pub fn state(&self) -> Option<&Bytes> {
        self.state.as_ref()
    }

    /// The same span without what other tracing systems pass on, for want of room.
    pub(crate) fn without_state(self) -> Self {
        Self { state: None, ..self }
    }

    /// What both headers add to a message, in bytes.
    pub(crate) fn size_bytes(&self) -> usize {
        let state = self.state.as_ref().map_or(0, |state| TRACESTATE.len() + state.len());
        TRACEPARENT.len() + traceparent::LENGTH_BYTES + state
    }
}

impl SpanId {
    fn draw(seams: &Seams, identity: &MessageId) -> Self {
        // As wide as half a draw. Zero is no id; any other will do instead.
        let bits = (identity.with_text(|identity| seams.entropy.bits("span id", identity)) >> 64) as u64;
        Self(NonZeroU64::new(bits).unwrap_or(NonZeroU64::MAX))
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEGAL: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn seams() -> Seams {
        Seams::repeatable(jiff::Timestamp::UNIX_EPOCH, 1)
    }

    fn id(text: &str) -> MessageId {
        MessageId::parse(text).expect("a legal id")
    }

    #[test]
    fn a_child_is_another_span_of_the_same_trace_with_the_same_state() {
        let state = &b"vendor=\xff,congo=t61rcWkgMzE"[..];
        let headers: Headers = [(TRACEPARENT, LEGAL.as_bytes()), (TRACESTATE, state)].into_iter().collect();
        let parent = TraceContext::of(&headers).expect("legal");
        let child = parent.child(&seams(), &id("a"));
        assert_eq!(child.trace_id(), parent.trace_id());
        assert_ne!(child.span_id(), parent.span_id());
        let mut written = Headers::new();
        child.write_to(&mut written);
        assert_eq!(written.get(TRACESTATE).map(|value| &value[..]), Some(state));
        assert_eq!(written.size_bytes(), child.size_bytes());
        assert_eq!(TraceContext::of(&written), Some(child));
    }

    #[test]
    fn a_new_trace_leaves_no_state_of_another_one_behind() {
        let mut headers: Headers = [(TRACEPARENT, "unreadable"), (TRACESTATE, "vendor=1")].into_iter().collect();
        assert_eq!(TraceContext::of(&headers), None);
        TraceContext::root(&seams(), &id("a")).write_to(&mut headers);
        assert_eq!(headers.text(TRACESTATE), None);
        assert!(TraceContext::of(&headers).is_some());
    }

    #[test]
    fn ids_come_from_the_seam_and_repeat_with_the_seed() {
        let (one, two) = (seams(), seams());
        let first = TraceContext::root(&one, &id("a"));
        assert_eq!(TraceContext::root(&two, &id("a")), first);
        assert_ne!(TraceContext::root(&one, &id("a")).trace_id(), first.trace_id(), "a second draw is another");
        assert_ne!(TraceContext::root(&two, &id("b")).trace_id(), first.trace_id());
    }

    #[tokio::test]
    async fn the_current_span_is_seen_inside_its_scope_alone() {
        let context = TraceContext::root(&seams(), &id("a"));
        assert_eq!(TraceContext::current(), None);
        let outer = context.clone();
        context
            .scope(async {
                tokio::task::yield_now().await;
                assert_eq!(TraceContext::current().as_ref(), Some(&outer));
                let inner = outer.child(&seams(), &id("b"));
                inner.clone().scope(async { assert_eq!(TraceContext::current(), Some(inner)) }).await;
                assert_eq!(TraceContext::current().as_ref(), Some(&outer));
            })
            .await;
        assert_eq!(TraceContext::current(), None);
    }
}
