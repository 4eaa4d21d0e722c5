//! Broken promises about the answers to a publish.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use bus::layer::Layer;
use bus::{Bus, BusExt, Declaration, Error, ErrorKind, Message, Outgoing, PublishOutcome, Receipt};
use bus_memory::MemoryOptions;
use bus_memory::options::MESSAGE_BYTES_MAX;

use crate::breakage::Breakage;
use crate::layers::{AnswersPublish, Mangles};

breakages! {
    a_bad_message_answered_accepted breaks one_bad_message_of_a_batch_fails_alone_and_in_its_place
        by answering(|outcomes| outcomes.iter().map(|_| accepted()).collect());
    a_good_message_of_a_bad_batch_lost breaks one_bad_message_of_a_batch_fails_alone_and_in_its_place
        by Breakage::by(|| StopsAtTheFirstRefusal);
    outcomes_out_of_order breaks outcomes_are_one_for_each_message_and_in_input_order
        by answering(|mut outcomes| {
            outcomes.sort_by_key(|outcome| !outcome.is_accepted());
            outcomes
        });
    an_outcome_missing breaks outcomes_are_one_for_each_message_and_in_input_order
        by answering(|outcomes| outcomes.into_iter().filter(PublishOutcome::is_accepted).collect());
    a_batch_cut_at_ten breaks batches_of_1_10_11_and_1000_are_accepted_whole_and_in_order
        by Breakage::by(|| CutsAtTen);
    an_empty_body_swallowed breaks bodies_of_any_bytes_arrive_unchanged
        by Breakage::by(|| Swallows(|message: &Message| message.body().is_empty()));
    an_outcome_for_nothing breaks an_empty_batch_has_no_outcomes
        by answering(|outcomes| if outcomes.is_empty() { vec![accepted()] } else { outcomes });
    a_batch_sent_to_its_first_destination breaks a_batch_may_go_to_several_destinations
        by Breakage::by(|| SendsToTheFirst);
    a_gap_in_a_key breaks a_message_behind_a_refused_one_of_its_key_is_refused_with_it
        by Breakage::by(|| OneByOne);
    a_size_limit_off_by_one breaks a_message_beyond_the_size_limit_is_refused_and_one_at_the_limit_is_not
        by Breakage::unlayered().around(limited(Some(MESSAGE_BYTES_MAX - 1)))
            .claiming(|capability| capability.message_bytes_max = Some(MESSAGE_BYTES_MAX));
    a_size_limit_not_kept breaks a_message_beyond_the_size_limit_is_refused_and_one_at_the_limit_is_not
        by Breakage::unlayered().around(limited(None))
            .claiming(|capability| capability.message_bytes_max = Some(MESSAGE_BYTES_MAX));
    a_large_message_accepted_and_cut breaks a_message_beyond_the_size_limit_is_refused_and_one_at_the_limit_is_not
        by Breakage::by(|| Mangles(|message| {
            let body = message.body().slice(..message.body().len().min(MESSAGE_BYTES_MAX));
            Message::new(message.id().clone(), body)
        }));
    a_large_batch_refused breaks a_batch_beyond_the_byte_budget_of_a_call_is_split
        by Breakage::by(|| RefusesLargeBatches);
    an_unknown_destination_created breaks an_unknown_destination_is_an_error_and_no_creation
        by Breakage::by(|| DeclaresAnything);
    a_publish_accepted_after_close breaks a_closed_bus_refuses_each_message_as_closed
        by answering(|outcomes| outcomes.into_iter().map(unless_closed).collect());
    one_answer_for_all_after_close breaks a_closed_bus_refuses_each_message_as_closed
        by answering(|mut outcomes| {
            if !outcomes.iter().any(PublishOutcome::is_accepted) {
                outcomes.truncate(1);
            }
            outcomes
        });
    equal_bytes_taken_for_one_message breaks a_message_sent_twice_arrives_under_its_id_and_no_other_is_taken_for_it
        by Breakage::by(|| Swallows(seen(|message| message.body().clone())));
    a_cancelled_message_taken_for_sent
        breaks a_cancelled_publish_leaves_each_message_on_the_bus_or_not_and_sending_again_loses_none
        by Breakage::by(|| Swallows(seen(|message| message.id().clone())));
    a_message_lost_in_the_crowd breaks a_hundred_concurrent_publishers_lose_nothing
        by Breakage::by(Crowded::default);
}

fn answering(answer: fn(Vec<PublishOutcome>) -> Vec<PublishOutcome>) -> Breakage {
    Breakage::by(move || AnswersPublish(answer))
}

fn accepted() -> PublishOutcome {
    PublishOutcome::Accepted(Receipt::default())
}

fn unless_closed(outcome: PublishOutcome) -> PublishOutcome {
    match outcome {
        PublishOutcome::Refused(error) if error.kind() == ErrorKind::Closed => accepted(),
        outcome => outcome,
    }
}

fn limited(message_bytes_max: Option<usize>) -> MemoryOptions {
    MemoryOptions { message_bytes_max, ..MemoryOptions::default() }
}

/// Gives up a batch silently at its first bad message.
#[derive(Debug)]
struct StopsAtTheFirstRefusal;

#[async_trait]
impl Layer for StopsAtTheFirstRefusal {
    async fn publish(&self, batch: Vec<Outgoing>, next: &dyn Bus) -> Vec<PublishOutcome> {
        let mut outcomes: Vec<PublishOutcome> = Vec::new();
        for outgoing in batch {
            let is_broken = outcomes.iter().any(|outcome| !outcome.is_accepted());
            outcomes.push(if is_broken { accepted() } else { next.publish_one(outgoing).await });
        }
        outcomes
    }
}

/// Sends what fits into one call of SQS.
#[derive(Debug)]
struct CutsAtTen;

#[async_trait]
impl Layer for CutsAtTen {
    async fn publish(&self, mut batch: Vec<Outgoing>, next: &dyn Bus) -> Vec<PublishOutcome> {
        let count = batch.len();
        batch.truncate(10);
        let mut outcomes = next.publish(batch).await;
        outcomes.resize_with(count, accepted);
        outcomes
    }
}

#[derive(Debug)]
struct SendsToTheFirst;

#[async_trait]
impl Layer for SendsToTheFirst {
    async fn publish(&self, batch: Vec<Outgoing>, next: &dyn Bus) -> Vec<PublishOutcome> {
        let first = batch[0].destination().clone();
        let batch = batch.into_iter().map(|outgoing| Outgoing::new(first.clone(), outgoing.message().clone()));
        next.publish(batch.collect()).await
    }
}

#[derive(Debug)]
struct OneByOne;

#[async_trait]
impl Layer for OneByOne {
    async fn publish(&self, batch: Vec<Outgoing>, next: &dyn Bus) -> Vec<PublishOutcome> {
        let mut outcomes = Vec::new();
        for outgoing in batch {
            outcomes.push(next.publish_one(outgoing).await);
        }
        outcomes
    }
}

/// Sends every batch in one call, however large.
#[derive(Debug)]
struct RefusesLargeBatches;

#[async_trait]
impl Layer for RefusesLargeBatches {
    async fn publish(&self, batch: Vec<Outgoing>, next: &dyn Bus) -> Vec<PublishOutcome> {
        let bytes: usize = batch.iter().map(|outgoing| outgoing.message().size_bytes()).sum();
        if bytes <= 1024 * 1024 {
            return next.publish(batch).await;
        }
        let refused = |_| PublishOutcome::Refused(Error::new(ErrorKind::TooLarge, "publish", "1 MiB at most"));
        batch.iter().map(refused).collect()
    }
}

#[derive(Debug)]
struct DeclaresAnything;

#[async_trait]
impl Layer for DeclaresAnything {
    async fn publish(&self, batch: Vec<Outgoing>, next: &dyn Bus) -> Vec<PublishOutcome> {
        let declarations = batch.iter().map(|outgoing| Declaration::of(outgoing.destination().clone()));
        next.declare(&declarations.collect::<Vec<_>>()).await.expect("an open bus");
        next.publish(batch).await
    }
}

/// Accepts some messages and does not send them. It decides before it sends the others.
pub(crate) struct Swallows<F>(pub(crate) F);

#[async_trait]
impl<F: Fn(&Message) -> bool + Send + Sync + 'static> Layer for Swallows<F> {
    async fn publish(&self, mut batch: Vec<Outgoing>, next: &dyn Bus) -> Vec<PublishOutcome> {
        let count = batch.len();
        batch.retain(|outgoing| !(self.0)(outgoing.message()));
        tokio::task::yield_now().await;
        let mut outcomes = next.publish(batch).await;
        outcomes.resize_with(count, accepted);
        outcomes
    }
}

impl<F> std::fmt::Debug for Swallows<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Swallows")
    }
}

/// Whether something of a message was seen before.
fn seen<T: Ord>(of: fn(&Message) -> T) -> impl Fn(&Message) -> bool {
    let seen = Mutex::new(BTreeSet::new());
    move |message| !seen.lock().expect("no panic").insert(of(message))
}

/// Loses a message when two publishers meet.
#[derive(Debug, Default)]
struct Crowded(AtomicUsize);

#[async_trait]
impl Layer for Crowded {
    async fn publish(&self, mut batch: Vec<Outgoing>, next: &dyn Bus) -> Vec<PublishOutcome> {
        let count = batch.len();
        if self.0.fetch_add(1, Ordering::SeqCst) > 0 {
            batch.pop();
        }
        tokio::task::yield_now().await;
        let mut outcomes = next.publish(batch).await;
        outcomes.resize_with(count, accepted);
        self.0.fetch_sub(1, Ordering::SeqCst);
        outcomes
    }
}
