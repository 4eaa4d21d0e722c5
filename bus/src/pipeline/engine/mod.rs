//! The loop that joins lanes, gate, hand and flights.
//!
//! One task: it starts what may start, hands over what was decided, and waits for the next events.
//! A handler that finishes at its first poll costs no task, no timer and no table entry. Calls to
//! the receiver and the store run beside the handlers, so a slow answer stops nobody.

mod intake;
mod leases;
mod outcome;
mod pause;
mod poison;
mod returns;
mod shutdown;
mod stall;
mod timeouts;

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::stream::{FuturesUnordered, Stream};
use rustc_hash::FxHashMap;
use slab::Slab;
use tokio_util::sync::CancellationToken;

use crate::capability::Order;
use crate::{
    Capability, Delivery, ExtendOutcome, MessageId, MessageKey, Moment, Receiver, Result, SettleOutcome, Settlement,
    Token, Unsettled,
};

use super::attempts::{Begun, ProcessAttempts};
use super::flight::Flight;
use super::gate::Gate;
use super::hand::Held;
use super::lanes::Lanes;
use super::{Handled, Pipeline};
use outcome::Decided;

/// Events taken in one turn: full batches, while shutdown and timers stay responsive.
const EVENTS_PER_TURN_MAX: usize = 256;

type Call<'a> = Pin<Box<dyn Future<Output = Event> + Send + 'a>>;

enum Event {
    Received(Vec<Delivery>, Result<()>),
    Begun(Vec<usize>, Result<Vec<Begun>>),
    Handled(usize, Option<Handled>),
    Settled(Vec<Decided>, Vec<SettleOutcome>),
    Extended(Vec<(usize, u64)>, Vec<ExtendOutcome>),
    Lost(Vec<Token>),
    /// Deliveries are back on the bus, after their pardons where there were any.
    Returned {
        pardoned: bool,
    },
    Forgotten,
    Timer,
    Steered,
    Shutdown,
}

pub(super) struct Engine<'a> {
    pipeline: &'a Pipeline,
    receiver: Arc<dyn Receiver>,
    held: Slab<Held>,
    /// Heads that wait for a free handler, in order of arrival.
    ready: VecDeque<usize>,
    lanes: Lanes,
    gate: Gate,
    attempts: ProcessAttempts,
    running: FuturesUnordered<Flight<'a>>,
    calls: FuturesUnordered<Call<'a>>,
    /// Settlements not yet handed to the receiver, and what follows from each.
    settlements: Vec<Settlement>,
    decided: Vec<Decided>,
    /// Deliveries that go back without having been processed.
    returning: Vec<Unsettled>,
    /// Starts that do not count, to be taken back before anything returns.
    pardons: Vec<MessageId>,
    /// Calls that take starts back and are not answered yet.
    pardoning_count: usize,
    /// Calls that give deliveries back and are not answered yet.
    returning_count: usize,
    /// Keys of which something went back while a receive was under way: what that receive still brings of
    /// them goes back behind it.
    recalled: FxHashMap<MessageKey, returns::Recalled>,
    stalls: stall::Stalls,
    /// Settlements handed over and not yet answered: still within the prefetch limit.
    unanswered_count: usize,
    /// Calls that must be answered before the end; `receive` and `lost` are not among them.
    owed_call_count: usize,
    receiving: bool,
    beginning_count: usize,
    heartbeat: leases::Heartbeat,
    timeouts: timeouts::Timeouts,
    next_serial: u64,
    draining: Option<shutdown::Drain>,
    /// Whether order per key holds over retries: the bus promises it, and lanes keep it.
    is_ordered: bool,
}

impl<'a> Engine<'a> {
    pub(super) fn new(pipeline: &'a Pipeline, receiver: Arc<dyn Receiver>, capability: &Capability) -> Self {
        Self {
            pipeline,
            receiver,
            held: Slab::new(),
            ready: VecDeque::new(),
            lanes: Lanes::default(),
            gate: Gate::new(),
            attempts: ProcessAttempts::default(),
            running: FuturesUnordered::new(),
            calls: FuturesUnordered::new(),
            settlements: Vec::new(),
            decided: Vec::new(),
            returning: Vec::new(),
            pardons: Vec::new(),
            pardoning_count: 0,
            returning_count: 0,
            recalled: FxHashMap::default(),
            stalls: stall::Stalls::default(),
            unanswered_count: 0,
            owed_call_count: 0,
            receiving: false,
            beginning_count: 0,
            heartbeat: leases::Heartbeat::new(capability.lease, pipeline.policy.lease),
            timeouts: timeouts::Timeouts::default(),
            next_serial: 0,
            draining: None,
            is_ordered: pipeline.policy.order_per_key && capability.order == Order::PerKey,
        }
    }

    pub(super) async fn run(mut self, shutdown: CancellationToken) {
        let pipeline = self.pipeline;
        self.steered();
        self.show();
        self.watch_leases();
        let mut asked_to_stop = pin!(shutdown.cancelled());
        let mut steered = pin!(pipeline.control.changed());
        let mut timer: Option<(Moment, Call<'a>)> = None;
        let mut events = Vec::with_capacity(EVENTS_PER_TURN_MAX);
        loop {
            self.start_ready().await;
            self.hand_over();
            self.receive_more();
            if self.is_drained() {
                break;
            }
            self.arm(&mut timer);
            let stoppable = self.draining.is_none();
            poll_fn(|context| {
                self.collect(context, &mut events);
                if stoppable && asked_to_stop.as_mut().poll(context).is_ready() {
                    events.push(Event::Shutdown);
                }
                if steered.as_mut().poll(context).is_ready() {
                    steered.set(pipeline.control.changed());
                    events.push(Event::Steered);
                }
                if let Some((_, sleep)) = &mut timer
                    && sleep.as_mut().poll(context).is_ready()
                {
                    timer = None;
                    events.push(Event::Timer);
                }
                if events.is_empty() { Poll::Pending } else { Poll::Ready(()) }
            })
            .await;
            // What was lost may come again in the same turn: its handler must not run then.
            events.sort_by_key(|event| !matches!(event, Event::Lost(_)));
            for event in events.drain(..) {
                self.on(event).await;
            }
        }
        self.end().await;
    }

    /// Takes what is finished, handlers first, always in the same order.
    fn collect(&mut self, context: &mut Context<'_>, events: &mut Vec<Event>) {
        while events.len() < EVENTS_PER_TURN_MAX {
            match Pin::new(&mut self.running).poll_next(context) {
                Poll::Ready(Some((place, handled))) => events.push(Event::Handled(place, handled)),
                Poll::Ready(None) | Poll::Pending => break,
            }
        }
        while events.len() < EVENTS_PER_TURN_MAX {
            match Pin::new(&mut self.calls).poll_next(context) {
                Poll::Ready(Some(event)) => events.push(event),
                Poll::Ready(None) | Poll::Pending => break,
            }
        }
    }

    async fn on(&mut self, event: Event) {
        match event {
            Event::Received(batch, result) => self.received(batch, result).await,
            Event::Begun(places, result) => self.begun(places, result).await,
            Event::Handled(place, handled) => self.handled(place, handled),
            Event::Settled(decided, outcomes) => self.settled(decided, outcomes),
            Event::Extended(extended, outcomes) => self.extended(extended, outcomes),
            Event::Lost(tokens) => self.lost(&tokens).await,
            Event::Returned { pardoned } => self.returned(pardoned),
            Event::Forgotten => self.owed_call_count -= 1,
            Event::Timer => self.on_timer(),
            Event::Steered => self.steered(),
            Event::Shutdown => self.drain(),
        }
    }

    fn on_timer(&mut self) {
        let now = self.now();
        if !self.is_pardoning() {
            self.gate.wake(now);
        }
        self.prove_bus(now);
        self.time_out(now);
        self.end_stalls(|stall| stall.until <= now);
        self.beat(now);
        self.press_on(now);
    }

    /// Keeps one timer for the earliest thing that time alone makes happen.
    fn arm(&self, timer: &mut Option<(Moment, Call<'a>)>) {
        let due = [
            self.gate.wakes_at().filter(|_| !self.is_pardoning()),
            self.gate.bus_proved_at(),
            self.timeouts.first(),
            self.stalls.first(),
            self.heartbeat.due(),
            self.draining.as_ref().map(|drain| drain.due),
        ];
        let Some(earliest) = due.into_iter().flatten().min() else {
            *timer = None;
            return;
        };
        if timer.as_ref().is_none_or(|(armed, _)| earliest < *armed) {
            let clock = &self.pipeline.seams.clock;
            let sleep = async move {
                clock.sleep_until(earliest).await;
                Event::Timer
            };
            *timer = Some((earliest, Box::pin(sleep)));
        }
    }

    fn now(&self) -> Moment {
        self.pipeline.seams.clock.now()
    }

    /// Puts a call that must be answered beside the handlers.
    fn owe(&mut self, call: impl Future<Output = Event> + Send + 'a) {
        self.owed_call_count += 1;
        self.calls.push(Box::pin(call));
    }
}
