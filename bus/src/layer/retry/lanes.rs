//! One message of each key and destination at a time, in batch order.

use std::collections::{BTreeMap, VecDeque};

use super::answer::Answer;
use crate::layer::partial::held_back;
use crate::{Destination, MessageKey, Moment, Outgoing, PublishOutcome};

/// A batch by key and destination; what has no key is a lane of its own.
pub(super) struct Lanes {
    lanes: Vec<Lane>,
    outcomes: Vec<Option<PublishOutcome>>,
}

#[derive(Default)]
struct Lane {
    /// Places in the batch and messages; the first is being published.
    waiting: VecDeque<(usize, Outgoing)>,
    answer: Answer,
    publish_count: u32,
    /// When the first is published again.
    due: Option<Moment>,
}

/// What to do next.
pub(super) enum Next {
    /// Publish the first message of these lanes, in this order.
    Publish(Vec<usize>),
    /// Nothing before this moment.
    Wait(Moment),
    /// Every message has its outcome.
    Done,
}

impl Lanes {
    pub(super) fn of(batch: Vec<Outgoing>) -> Self {
        let mut lanes: Vec<Lane> = Vec::with_capacity(batch.len());
        let mut by_key: BTreeMap<(Destination, MessageKey), usize> = BTreeMap::new();
        let outcomes = batch.iter().map(|_| None).collect();
        for (index, outgoing) in batch.into_iter().enumerate() {
            let lane = match outgoing.message().key() {
                None => lanes.len(),
                Some(key) => *by_key.entry((outgoing.destination().clone(), key.clone())).or_insert(lanes.len()),
            };
            if lane == lanes.len() {
                lanes.push(Lane::default());
            }
            lanes[lane].waiting.push_back((index, outgoing));
        }
        Self { lanes, outcomes }
    }

    pub(super) fn next(&self, now: Moment) -> Next {
        let waiting = || self.lanes.iter().enumerate().filter(|(_, lane)| !lane.waiting.is_empty());
        let ready: Vec<usize> =
            waiting().filter(|(_, lane)| lane.due.is_none_or(|due| due <= now)).map(|(lane, _)| lane).collect();
        if !ready.is_empty() {
            return Next::Publish(ready);
        }
        waiting().filter_map(|(_, lane)| lane.due).min().map_or(Next::Done, Next::Wait)
    }

    /// The first messages of `wave`.
    pub(super) fn messages(&self, wave: &[usize]) -> Vec<Outgoing> {
        wave.iter().filter_map(|lane| self.lanes[*lane].waiting.front()).map(|(_, outgoing)| outgoing.clone()).collect()
    }

    /// The first message of `lane` was answered; `again` says when to publish it once more, given
    /// how often it was, and nothing to give it up.
    pub(super) fn take(
        &mut self,
        lane: usize,
        outcome: PublishOutcome,
        again: impl FnOnce(u32, &Outgoing) -> Option<Moment>,
    ) {
        let lane = &mut self.lanes[lane];
        lane.answer.take(outcome);
        lane.publish_count += 1;
        let Some((_, outgoing)) = lane.waiting.front() else { return };
        if lane.answer.is_open() {
            lane.due = again(lane.publish_count, outgoing);
            if lane.due.is_some() {
                return;
            }
            lane.end(&mut self.outcomes);
        } else {
            lane.advance(&mut self.outcomes);
        }
    }

    /// The outcomes; what is still under way ends with the answer it has.
    pub(super) fn into_outcomes(mut self) -> Vec<PublishOutcome> {
        for lane in &mut self.lanes {
            lane.end(&mut self.outcomes);
        }
        self.outcomes.into_iter().map(|outcome| outcome.expect("every lane has ended")).collect()
    }
}

impl Lane {
    /// The first message has its outcome; the next one follows.
    fn advance(&mut self, outcomes: &mut [Option<PublishOutcome>]) {
        if let Some((index, _)) = self.waiting.pop_front() {
            outcomes[index] = Some(std::mem::take(&mut self.answer).into_outcome());
        }
        self.publish_count = 0;
        self.due = None;
    }

    /// The first message is given up, and those behind it with it.
    fn end(&mut self, outcomes: &mut [Option<PublishOutcome>]) {
        if self.publish_count > 0 {
            self.advance(outcomes);
        }
        for (index, outgoing) in self.waiting.drain(..) {
            outcomes[index] = Some(PublishOutcome::Refused(held_back(&outgoing)));
        }
    }
}
