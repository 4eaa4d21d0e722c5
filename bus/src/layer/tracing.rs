//! The producer's half of distributed tracing.

use async_trait::async_trait;
use tracing::field::{self, Empty};
use tracing::{Instrument, Level, Span, debug, info_span};

use super::Layer;
use crate::trace_context::TraceContext;
use crate::{Bus, Message, Outgoing, PublishOutcome, Seams};

/// Gives each published message its place in a trace, and records each publish as a span.
///
/// **What.** A message without a legal `traceparent` gets one: a child of the span its handler runs
/// in (see [`middleware::Tracing`](crate::middleware::Tracing)), else the first span of a new trace.
/// One that has a `traceparent` keeps it: a row of the outbox, a dead letter that is replayed, what a
/// foreign producer sent. Where the headers would push a message over
/// [`message_bytes_max`](crate::Capability::message_bytes_max), it goes without: tracing makes no
/// message fail.
///
/// Each call is one [`tracing`] span at level `INFO`, named after the
/// [semantic conventions](https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/):
///
/// | field | value |
/// |---|---|
/// | `otel.name` | `publish <destination>`, or `publish` for several |
/// | `otel.kind` | `producer` for one message, `client` for a batch |
/// | `messaging.operation.name`, `messaging.operation.type` | `publish`, `send` |
/// | `messaging.destination.name` | unless there are several |
/// | `messaging.batch.message_count` | for a batch |
/// | `messaging.message.id` | for one message |
/// | `trace_id`, `span_id`, `parent_span_id` | for one message its own; for a batch those of the call |
/// | `error.type` | kind of the first error, `cancelled` for a dropped call |
///
/// In it each message is one event at level `DEBUG`, with `messaging.destination.name`,
/// `messaging.message.id` and its own `trace_id`, `span_id` and `parent_span_id`.
///
/// **Default.** None: the seams are all it takes, because ids come from [`Entropy`](crate::Entropy)
/// and so repeat in a simulation.
///
/// **Order.** Outermost, put on last: one span then covers what inner layers repeat, and what they
/// send again has the same headers.
///
/// **Cancellation.** A dropped call ends the span and leaves the messages as [`Bus::publish`] says.
///
/// **Cost.** Per message one header of 66 bytes and two draws of entropy, measured at 0.4 µs; a message
/// shared with somebody is copied, its body excepted. Per call one span. With the level off no span
/// and no event is made.
///
/// **Bridge.** There is no OpenTelemetry SDK in here. Whoever wants its spans there writes a
/// subscriber layer that takes name, kind, ids and links from the fields above, instead of having
/// the SDK draw ids that no header carries. Inside a handler [`TraceContext::current`] is the parent
/// to hand to other instrumented clients.
///
/// ```
/// use std::sync::Arc;
/// use bus::layer::{LayerExt, Tracing};
/// use bus::{Bus, BusExt, Declaration, Destination, Message, Outgoing, Seams, Subscription, TraceContext};
/// use bus_memory::{MemoryBus, MemoryOptions};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), bus::Error> {
/// let seams = Seams::system();
/// let bus: Arc<dyn Bus> = MemoryBus::new(seams.clone(), MemoryOptions::default());
/// let bus = bus.layer(Tracing::new(&seams));
/// let orders = Destination::new("orders")?;
/// bus.declare(&[Declaration::of(orders.clone())]).await?;
///
/// let message = Message::new(seams.message_id("example"), "2 apples");
/// assert!(bus.publish_one(Outgoing::new(orders.clone(), message)).await.is_accepted());
///
/// let receiver = bus.subscribe(&Subscription::to(orders), Default::default()).await?;
/// let mut received = Vec::new();
/// receiver.receive(1, &mut received).await?;
/// assert!(TraceContext::of(received[0].message().headers()).is_some());
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

    /// Gives a message its place in a trace; whether it had none.
    fn stamp(&self, message: &mut Message, cause: Option<&TraceContext>, bytes_max: Option<usize>) -> bool {
        if TraceContext::of(message.headers()).is_some() {
            return false;
        }
        let context = match cause {
            Some(cause) => cause.child(&self.seams, message.id()),
            None => TraceContext::root(&self.seams, message.id()),
        };
        let has_room = |context: &TraceContext| {
            bytes_max.is_none_or(|bytes_max| message.size_bytes() + context.size_bytes() <= bytes_max)
        };
        let context = if has_room(&context) { context } else { context.without_state() };
        let fits = has_room(&context);
        if fits {
            context.write_to(message.headers_mut());
        }
        fits
    }

    /// The span of one call.
    fn span(&self, batch: &[Outgoing], is_stamped: &[bool], cause: Option<&TraceContext>) -> Span {
        let Some(first) = batch.first() else { return Span::none() };
        if !tracing::span_enabled!(Level::INFO) {
            return Span::none();
        }
        let (message, destination) = (first.message(), first.destination());
        let is_single = batch.len() == 1;
        let is_one_destination = batch.iter().all(|outgoing| outgoing.destination() == destination);
        let name = if is_one_destination { format!("publish {destination}") } else { "publish".to_owned() };
        let (context, parent) = if is_single {
            (TraceContext::of(message.headers()), cause.filter(|_| is_stamped[0]))
        } else {
            let context = match cause {
                Some(cause) => cause.child(&self.seams, message.id()),
                None => TraceContext::root(&self.seams, message.id()),
            };
            (Some(context), cause)
        };
        info_span!(
            "publish",
            otel.name = name,
            otel.kind = if is_single { "producer" } else { "client" },
            messaging.operation.name = "publish",
            messaging.operation.type = "send",
            messaging.destination.name = is_one_destination.then(|| destination.as_str()),
            messaging.batch.message_count = (!is_single).then_some(batch.len()),
            messaging.message.id = is_single.then(|| field::display(message.id())),
            trace_id = context.as_ref().map(|context| field::display(context.trace_id())),
            span_id = context.as_ref().map(|context| field::display(context.span_id())),
            parent_span_id = parent.map(|parent| field::display(parent.span_id())),
            error.type = Empty,
        )
    }
}

#[async_trait]
impl Layer for Tracing {
    async fn publish(&self, mut batch: Vec<Outgoing>, next: &dyn Bus) -> Vec<PublishOutcome> {
        let cause = TraceContext::current();
        let bytes_max = next.capability().message_bytes_max;
        let stamp = |outgoing: &mut Outgoing| self.stamp(outgoing.message_mut(), cause.as_ref(), bytes_max);
        let is_stamped: Vec<bool> = batch.iter_mut().map(stamp).collect();
        let span = self.span(&batch, &is_stamped, cause.as_ref());
        if tracing::enabled!(Level::DEBUG) {
            span.in_scope(|| tell(&batch, &is_stamped, cause.as_ref()));
        }
        let mut ending = Ending::of(span.clone());
        let outcomes = next.publish(batch).instrument(span).await;
        ending.answered(&outcomes);
        outcomes
    }
}

/// One event for each message.
fn tell(batch: &[Outgoing], is_stamped: &[bool], cause: Option<&TraceContext>) {
    for (outgoing, is_stamped) in batch.iter().zip(is_stamped) {
        let context = TraceContext::of(outgoing.message().headers());
        debug!(
            messaging.destination.name = outgoing.destination().as_str(),
            messaging.message.id = %outgoing.message().id(),
            trace_id = context.as_ref().map(|context| field::display(context.trace_id())),
            span_id = context.as_ref().map(|context| field::display(context.span_id())),
            parent_span_id = cause.filter(|_| *is_stamped).map(|cause| field::display(cause.span_id())),
            "publishing"
        );
    }
}

/// Says how a call ended, also when it was dropped.
struct Ending {
    span: Span,
    is_answered: bool,
}

impl Ending {
    fn of(span: Span) -> Self {
        Self { span, is_answered: false }
    }

    fn answered(&mut self, outcomes: &[PublishOutcome]) {
        self.is_answered = true;
        let error = outcomes.iter().find_map(|outcome| match outcome {
            PublishOutcome::Accepted(_) => None,
            PublishOutcome::Refused(error) | PublishOutcome::Unknown(error) => Some(error.kind()),
        });
        if let Some(kind) = error {
            self.span.record("error.type", field::debug(kind));
        }
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        if !self.is_answered {
            self.span.record("error.type", "cancelled");
        }
    }
}
