//! A request's place in a distributed trace.

use std::future::Future;

use bus::trace_context::{TRACEPARENT, TRACESTATE};
use bus::{Headers, Seams, TraceContext};
use http::{HeaderMap, Method};
use tracing::field::{self, Empty};
use tracing::{Instrument, Span, info_span};

use super::respond::Response;

/// Longest `tracestate` that is passed on: what the recommendation (section 3.3.1.5) asks for at least. It travels with
/// every message the request causes, and must make none too large.
pub const TRACESTATE_BYTES_MAX: usize = 512;

/// Runs each handler in a span that continues the caller's trace, or begins a new one where the
/// request has no legal `traceparent`.
///
/// Inside, [`TraceContext::current`] is the request's span: messages that the handler causes carry it.
/// The span has level `INFO` and follows the OpenTelemetry
/// [conventions for HTTP spans](https://opentelemetry.io/docs/specs/semconv/http/http-spans/): name,
/// kind, method, route, status, and the ids of itself and its parent.
#[derive(Clone, Debug)]
pub(super) struct Tracing {
    pub(super) seams: Seams,
}

/// A request's span, before it runs.
pub(super) struct Entry {
    context: TraceContext,
    span: Span,
}

impl Tracing {
    pub(super) fn enter(&self, method: &Method, route: &'static str, headers: &HeaderMap) -> Entry {
        let caller = caller(headers);
        let identity = self.seams.message_id(route);
        let context = match &caller {
            Some(caller) => caller.child(&self.seams, &identity),
            None => TraceContext::root(&self.seams, &identity),
        };
        let span = span(method, route, &context, caller.as_ref());
        Entry { context, span }
    }
}

impl Entry {
    pub(super) async fn around(self, answer: impl Future<Output = Response>) -> Response {
        let Self { context, span } = self;
        let response = context.scope(answer).instrument(span.clone()).await;
        span.record("http.response.status_code", response.status().as_u16());
        response
    }
}

/// The span that caused the request; `None` where its `traceparent` is missing, repeated or not legal.
fn caller(headers: &HeaderMap) -> Option<TraceContext> {
    let only = |name: &'static str| {
        let mut values = headers.get_all(name).iter();
        values.next().filter(|_| values.next().is_none()).map(|value| (name, value.as_bytes().to_vec()))
    };
    let state = only(TRACESTATE).filter(|(_, state)| state.len() <= TRACESTATE_BYTES_MAX);
    let headers: Headers = only(TRACEPARENT).into_iter().chain(state).collect();
    TraceContext::of(&headers)
}

fn span(method: &Method, route: &'static str, context: &TraceContext, caller: Option<&TraceContext>) -> Span {
    info_span!(
        "request",
        otel.name = format_args!("{method} {route}"),
        otel.kind = "server",
        http.request.method = %method,
        http.route = route,
        http.response.status_code = Empty,
        trace_id = %context.trace_id(),
        span_id = %context.span_id(),
        parent_span_id = caller.map(|caller| field::display(caller.span_id())),
    )
}
