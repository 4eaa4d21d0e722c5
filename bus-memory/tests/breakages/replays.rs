//! Broken promises that show when dead letters are looked at and replayed.

use std::sync::Arc;

use async_trait::async_trait;
use bus::dead_letter::{AT, GROUP, REASON, REPLAY_COUNT, REPLAY_GROUP};
use bus::layer::ReceiverLayer;
use bus::{Delivery, Lease, Message, MessageId, PublishOutcome, Receipt, Receiver, Result, Unsettled, Verdict};

use crate::breakage::Breakage;
use crate::dead_letters::{rejecting, without};
use crate::forged::Nobody;
use crate::layers::{AnswersPublish, Fate, Mangles, Receivers, handing_out, settling};
use crate::publish::Swallows;
use crate::receive::DeclaresFirst;

breakages! {
    a_reason_forgotten breaks rejected_messages_are_listed_with_reason_and_provenance
        by without(REASON);
    a_group_forgotten breaks dead_letters_of_every_group_are_listed_with_the_group
        by without(GROUP);
    a_release_that_consumes breaks listing_dead_letters_changes_nothing
        by Breakage::by(|| Receivers(|| Releases(Release::Consumes)));
    a_release_that_counts breaks listing_dead_letters_burns_no_receive_count
        by Breakage::by(|| Receivers(|| Releases(Release::Counts)));
    a_release_that_consumes_what_is_beyond_the_limit
        breaks a_list_ends_at_its_limit_and_says_that_there_may_be_more
        by Breakage::by(|| Receivers(|| Releases(Release::Consumes)));
    a_time_forgotten breaks a_filter_names_dead_letters_by_id_reason_key_and_age
        by without(AT);
    dead_letters_under_an_id_of_the_brokers breaks one_dead_letter_is_shown_by_its_id
        by handing_out(|forgery| {
            let id = MessageId::parse("the broker's own id").expect("a legal id");
            forgery.message = Message::foreign(id, forgery.message.body().clone());
        });
    a_header_that_is_no_text_dropped breaks a_dead_letter_of_a_foreign_hand_is_listed_without_provenance
        by Breakage::by(|| Mangles(|mut message| {
            if message.headers().get(REASON).is_some() && message.headers().text(REASON).is_none() {
                message.headers_mut().remove(REASON);
            }
            message
        }));
    an_ack_that_does_not_discard breaks discarding_removes_what_the_filter_names_and_nothing_else
        by settling(|verdict| match verdict {
            Verdict::Ack => Fate::Forgotten(bus::SettleOutcome::Settled),
            verdict => Fate::Sent(verdict),
        });
    dead_letters_that_are_created breaks dead_letters_of_what_was_not_declared_are_not_found
        by Breakage::by(|| DeclaresFirst);
    a_replay_without_its_headers breaks a_replayed_message_arrives_as_it_was_sent_and_is_dead_no_more
        by Breakage::by(|| Mangles(|mut message| {
            if is_replay(&message) {
                message.headers_mut().remove("tenant");
            }
            message
        }));
    one_of_many_replays_lost breaks all_dead_letters_are_replayed
        by Breakage::by(|| Swallows(|message: &Message| is_replay(message) && &message.body()[..] == b"349"));
    reasons_all_alike breaks a_replay_takes_what_its_filter_names_and_leaves_the_rest
        by rejecting(|| Fate::Sent(Verdict::Reject { reason: "rejected".to_owned() }));
    a_replay_lost breaks a_replay_ends_at_its_limit
        by Breakage::by(|| Swallows(is_replay));
    a_dry_run_that_consumes breaks a_dry_run_counts_what_it_would_replay_and_changes_nothing
        by Breakage::by(|| Receivers(|| Releases(Release::Consumes)));
    a_dead_letter_consumed_when_handed_out breaks no_dead_letter_is_lost_wherever_its_replay_is_interrupted
        by Breakage::by(|| Receivers(|| ConsumesDeadLetters));
    a_shutdown_that_consumes breaks a_replay_that_is_shut_down_leaves_the_rest_among_the_dead_letters
        by Breakage::by(|| Receivers(|| Releases(Release::Consumes)));
    a_replay_that_is_not_counted breaks a_message_that_dies_again_is_not_replayed_again_in_the_same_run
        by without(REPLAY_COUNT);
    a_first_reason_that_stays breaks a_message_that_died_again_carries_its_last_rejection
        by rejecting(|| Fate::Sent(Verdict::Reject { reason: "the first reason".to_owned() }));
    a_replay_for_every_group breaks a_replay_starts_the_handler_of_the_group_it_died_in_alone
        by without(REPLAY_GROUP);
    a_foreign_replay_lost breaks a_dead_letter_without_provenance_is_replayed_to_its_destination
        by Breakage::by(|| Swallows(is_replay));
    a_replay_to_nowhere_accepted breaks a_dead_letter_whose_origin_is_gone_stays_and_the_others_are_replayed
        by Breakage::by(|| AnswersPublish(|outcomes| {
            outcomes.into_iter().map(|_| PublishOutcome::Accepted(Receipt::default())).collect()
        }));
}

fn is_replay(message: &Message) -> bool {
    message.headers().get(REPLAY_COUNT).is_some()
}

/// Releases deliveries otherwise.
struct Releases(Release);

#[derive(Clone, Copy)]
enum Release {
    /// They are gone.
    Consumes,
    /// They come again, and count as received.
    Counts,
}

#[async_trait]
impl ReceiverLayer for Releases {
    async fn release(&self, unstarted: Vec<Unsettled>, next: &dyn Receiver) {
        match self.0 {
            Release::Consumes => {
                let _ = next.settle(unstarted.into_iter().map(Unsettled::ack).collect()).await;
            }
            Release::Counts => drop(unstarted),
        }
    }
}

/// Acknowledges dead letters before it hands them out.
struct ConsumesDeadLetters;

#[async_trait]
impl ReceiverLayer for ConsumesDeadLetters {
    async fn receive(&self, max: usize, into: &mut Vec<Delivery>, next: &dyn Receiver) -> Result<()> {
        let mut received = Vec::new();
        next.receive(max, &mut received).await?;
        for delivery in received {
            if delivery.message().headers().get(REASON).is_none() {
                into.push(delivery);
                continue;
            }
            let (message, unsettled) = delivery.split();
            let token = unsettled.token();
            let _ = next.settle(vec![unsettled.ack()]).await;
            into.push(Delivery::new(message, token, Lease { deadline: None }, None, Arc::new(Nobody)));
        }
        Ok(())
    }
}
