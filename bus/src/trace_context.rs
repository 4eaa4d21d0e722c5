//! Where a message belongs in a distributed trace, by the W3C recommendation
//! [Trace Context](https://www.w3.org/TR/trace-context/), carried in two headers.
//!
//! A producer writes its span into the message, the consumer reads it there, and what the handler
//! publishes in turn continues the same trace: [`layer::Tracing`](crate::layer::Tracing) and
//! [`middleware::Tracing`](crate::middleware::Tracing) do both. A header nobody can read never
//! fails a message: it begins a new trace, as the recommendation asks.

use std::fmt;
use std::num::{NonZeroU64, NonZeroU128};
use std::ops::RangeInclusive;

use bytes::Bytes;

use crate::{Headers, Message, MessageId, Seams};

/// The header with trace, span and flags.
pub const TRACEPARENT: &str = "traceparent";
/// The header in which tracing systems pass on what is theirs.
pub const TRACESTATE: &str = "tracestate";

/// Length of a `traceparent` of version 00, in bytes.
const TRACEPARENT_BYTES: usize = 55;
/// The only flag of version 00. The others "MUST be set to zero" on the way on.
const SAMPLED: u8 = 0b1;

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
        let end = traceparent.as_bytes().get(TRACEPARENT_BYTES);
        let is_legal_version = match hex(traceparent, 0..=1)? {
            0x00 => end.is_none(),
            0xff => false,
            _ => matches!(end, None | Some(b'-')),
        };
        let has_dashes = [2, 35, 52].iter().all(|place| traceparent.as_bytes().get(*place) == Some(&b'-'));
        let trace_id = NonZeroU128::new(hex(traceparent, 3..=34)?)?;
        let span_id = NonZeroU64::new(u64::try_from(hex(traceparent, 36..=51)?).ok()?)?;
        let flags = u8::try_from(hex(traceparent, 53..=54)?).ok()?;
        (is_legal_version && has_dashes).then_some(Self {
            trace_id: TraceId(trace_id),
            span_id: SpanId(span_id),
            is_sampled: flags & SAMPLED != 0,
            state: None,
        })
    }

    /// Writes both headers, in place of earlier ones.
    pub fn write_to(&self, headers: &mut Headers) {
        headers.set(TRACEPARENT, Bytes::copy_from_slice(&self.to_bytes()));
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
        TRACEPARENT.len() + TRACEPARENT_BYTES + state
    }

    /// The span as a `traceparent` of version 00.
    #[must_use]
    pub fn traceparent(&self) -> String {
        self.to_bytes().iter().copied().map(char::from).collect()
    }

    /// Without `format!`, as this happens once for each message that is published.
    fn to_bytes(&self) -> [u8; TRACEPARENT_BYTES] {
        let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
        write_hex(&mut text[3..35], self.trace_id.0.get());
        write_hex(&mut text[36..52], u128::from(self.span_id.0.get()));
        write_hex(&mut text[53..], u128::from(self.is_sampled));
        text
    }
}

impl SpanId {
    fn draw(seams: &Seams, identity: &MessageId) -> Self {
        // As wide as half a draw. Zero is no id; any other will do instead.
        let bits = (identity.with_text(|identity| seams.entropy.bits("span id", identity)) >> 64) as u64;
        Self(NonZeroU64::new(bits).unwrap_or(NonZeroU64::MAX))
    }
}

/// The number at these places. Upper case and signs are no digits here.
fn hex(text: &str, places: RangeInclusive<usize>) -> Option<u128> {
    let digits = text.get(places)?;
    let is_legal = digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
    if is_legal { u128::from_str_radix(digits, 16).ok() } else { None }
}

/// Fills `digits` with those of the number, least significant last.
fn write_hex(digits: &mut [u8], mut number: u128) {
    for digit in digits.iter_mut().rev() {
        *digit = b"0123456789abcdef"[(number & 0xf) as usize];
        number >>= 4;
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
    fn a_legal_traceparent_is_read_and_written_as_it_was() {
        let context = TraceContext::parse(LEGAL).expect("the recommendation's own example");
        assert_eq!(context.trace_id().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(context.span_id().to_string(), "00f067aa0ba902b7");
        assert!(context.is_sampled());
        assert_eq!(context.traceparent(), LEGAL);
        let unsampled = TraceContext::parse(&LEGAL.replace("-01", "-00")).expect("legal");
        assert!(!unsampled.is_sampled());
        assert_eq!(unsampled.traceparent(), LEGAL.replace("-01", "-00"));
    }

    #[test]
    fn what_the_recommendation_calls_invalid_is_no_context() {
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        let span = "00f067aa0ba902b7";
        for bad in [
            String::new(),
            "00".to_owned(),
            format!("ff-{trace}-{span}-01"),
            format!("0-{trace}-{span}-01"),
            format!("0x-{trace}-{span}-01"),
            format!("00-{}-{span}-01", "0".repeat(32)),
            format!("00-{trace}-{}-01", "0".repeat(16)),
            format!("00-{}-{span}-01", trace.to_uppercase()),
            format!("00-{trace}-{}-01", span.to_uppercase()),
            format!("00-{trace}-{span}-0A"),
            format!("00-{trace}-{span}-1"),
            format!("00-{trace}-{span}-"),
            format!("00-{trace}-{span}"),
            format!("00-{trace}-{span}-01-"),
            format!("00-{trace}-{span}-01-what-the-future-will-be"),
            format!("00-{trace}-{span}-011"),
            format!("00-{}-{span}-01", &trace[1..]),
            format!("00-{trace}0-{span}-01"),
            format!("00_{trace}_{span}_01"),
            format!("00-{trace}-+0f067aa0ba902b7-01"),
            format!("01-{trace}-{span}-01.what"),
            format!("01-{trace}-{span}-0"),
            format!(" 00-{trace}-{span}-01"),
            format!("00-{trace}-{span}-é"),
            "é".repeat(28),
        ] {
            assert_eq!(TraceContext::parse(&bad), None, "{bad:?}");
        }
    }

    #[test]
    fn later_versions_are_read_as_far_as_this_one_goes_and_passed_on_as_this_one() {
        for (later, written) in [
            ("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", LEGAL.to_owned()),
            ("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what", LEGAL.to_owned()),
            ("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-ff", LEGAL.to_owned()),
            ("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-02", LEGAL.replace("-01", "-00")),
        ] {
            assert_eq!(TraceContext::parse(later).map(|context| context.traceparent()), Some(written), "{later}");
        }
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
