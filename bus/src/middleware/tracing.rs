//! The consumer's half of distributed tracing.

use async_trait::async_trait;
use tracing::field::{self, Empty};
use tracing::{Instrument, Span, info_span};

use super::Middleware;
use super::outcome::{CANCELLED, word_for};
use crate::pipeline::{Envelope, Handled, Handler};
use crate::{Group, Seams, TraceContext};

/// Runs each handler in a span that links to whoever published the message.
///
/// **What.** The span continues the trace of the message's `traceparent`; without a legal one it
/// begins a new trace. Each attempt is a span of its own with the same link. The handler runs inside:
/// its log lines are in the span, and what it publishes through
/// [`layer::Tracing`](crate::layer::Tracing) or sends with
/// [`UnitOfWork::send`](crate::inbox::UnitOfWork::send) continues the trace.
///
/// The span has level `INFO` and follows the
/// [semantic conventions](https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/):
///
/// | field | value |
/// |---|---|
/// | `otel.name`, `otel.kind` | `process <destination>`, `consumer` |
/// | `messaging.operation.name`, `messaging.operation.type` | `process`, `process` |
/// | `messaging.destination.name`, `messaging.consumer.group.name` | the subscription |
/// | `messaging.message.id` | the id to deduplicate by |
/// | `attempt` | which start of the handler, from 1 |
/// | `trace_id`, `span_id` | of this span |
/// | `parent_span_id`, `link.trace_id`, `link.span_id` | of the producer's |
/// | `outcome` | `ok`, `retry`, `reject`, `unavailable`, or `cancelled` for a dropped handler |
/// | `error.type` | the outcome, unless it is `ok` |
///
/// **Default.** None: the seams are all it takes.
///
/// **Order.** Outermost, put on last, so that what other middleware does is part of the span.
///
/// **Cancellation.** A dropped handler ends its span as `cancelled`.
///
/// **Cost.** Per attempt one or two draws of entropy, measured at 0.4 µs, and one span; with the level
/// off no span is made, and the trace goes on all the same.
///
/// **Bridge.** See [`layer::Tracing`](crate::layer::Tracing).
///
/// ```
/// use bus::middleware::{HandlerExt, Tracing};
/// use bus::pipeline::{Envelope, Handler};
/// use bus::{Destination, Headers, Message, Seams, Subscription, TraceContext};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), bus::Error> {
/// let seams = Seams::system();
/// let handler = (async |_: Envelope| {
///     let current = TraceContext::current().expect("the handler runs in a span");
///     assert_eq!(current.trace_id().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
///     Ok(())
/// })
/// .with(Tracing::new(&seams));
///
/// let headers: Headers =
///     [("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")].into_iter().collect();
/// let message = Message::new(seams.message_id("example"), "2 apples").with_headers(headers);
/// let id = message.id().clone();
/// let subscription = Subscription::to(Destination::new("orders")?);
/// let handled = handler.handle(Envelope::new(message, id, subscription.into(), 1, None)).await;
/// assert_eq!(handled, Ok(()));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Tracing {
    seams: Seams,
}

impl Tracing {
    /// Draws ids from `seams`.
    #[must_use]
    pub fn new(seams: &Seams) -> Self {
        Self { seams: seams.clone() }
    }
}

#[async_trait]
impl Middleware for Tracing {
    async fn handle(&self, envelope: Envelope, next: &dyn Handler) -> Handled {
        let producer = TraceContext::of(envelope.message().headers());
        let context = match &producer {
            Some(producer) => producer.child(&self.seams, envelope.message_id()),
            None => TraceContext::root(&self.seams, envelope.message_id()),
        };
        let mut ending = Ending { span: span(&envelope, &context, producer.as_ref()), outcome: CANCELLED };
        let handled = context.scope(next.handle(envelope)).instrument(ending.span.clone()).await;
        ending.outcome = word_for(&handled);
        handled
    }
}

fn span(envelope: &Envelope, context: &TraceContext, producer: Option<&TraceContext>) -> Span {
    let (subscription, producer_span) = (envelope.subscription(), producer.map(TraceContext::span_id));
    let destination = subscription.destination();
    info_span!(
        "process",
        otel.name = format_args!("process {destination}"),
        otel.kind = "consumer",
        messaging.operation.name = "process",
        messaging.operation.type = "process",
        messaging.destination.name = destination.as_str(),
        messaging.consumer.group.name = subscription.group().map(Group::as_str),
        messaging.message.id = %envelope.message_id(),
        attempt = envelope.attempt(),
        trace_id = %context.trace_id(),
        span_id = %context.span_id(),
        parent_span_id = producer_span.map(field::display),
        link.trace_id = producer.map(|producer| field::display(producer.trace_id())),
        link.span_id = producer_span.map(field::display),
        outcome = Empty,
        error.type = Empty,
    )
}

/// Says how a handler ended, also when it was dropped.
struct Ending {
    span: Span,
    outcome: &'static str,
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.span.record("outcome", self.outcome);
        if self.outcome != "ok" {
            self.span.record("error.type", self.outcome);
        }
    }
}
