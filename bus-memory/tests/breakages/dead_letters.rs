//! Broken promises about rejected messages.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bus::layer::ReceiverLayer;
use bus::{
    Delivery, Headers, Lease, Message, Receiver, Result, SettleOutcome, Settlement, Token, Verdict, dead_letter,
};
use bus_memory::MemoryOptions;

use crate::breakage::Breakage;
use crate::forged::Nobody;
use crate::layers::{AT_ONCE, Fate, Receivers, handing_out, settling, unsupported};

breakages! {
    a_reject_without_its_reason breaks a_rejected_message_is_in_the_dead_letters_with_its_reason_and_as_it_was_sent
        by without(dead_letter::REASON);
    a_reject_with_a_reason_of_its_own
        breaks a_rejected_message_is_in_the_dead_letters_with_its_reason_and_as_it_was_sent
        by rejecting(|| Fate::Sent(Verdict::Reject { reason: "rejected".to_owned() }));
    a_reject_that_drops_the_message
        breaks a_rejected_message_is_in_the_dead_letters_with_its_reason_and_as_it_was_sent
        by rejecting(|| Fate::Sent(Verdict::Ack));
    a_dead_letter_with_its_own_headers_only
        breaks a_rejected_message_is_in_the_dead_letters_with_its_reason_and_as_it_was_sent
        by handing_out(|forgery| {
            let kept = forgery.message.headers().iter().filter(|(name, _)| name.starts_with("x-dead-letter"));
            let kept: Headers = kept.map(|(name, value)| (name.to_owned(), value.clone())).collect();
            forgery.message = forgery.message.clone().with_headers(kept);
        });
    a_dead_letter_without_its_origin breaks a_dead_letter_tells_where_it_comes_from
        by without(dead_letter::DESTINATION);
    a_dead_letter_without_its_receive_count breaks a_dead_letter_tells_where_it_comes_from
        by without(dead_letter::RECEIVE_COUNT);
    a_dead_letter_without_its_time breaks a_dead_letter_tells_where_it_comes_from
        by without(dead_letter::AT);
    a_dead_letter_without_its_group breaks a_reject_by_a_group_names_the_group_and_leaves_the_others_theirs
        by without(dead_letter::GROUP);
    a_reject_that_leaves_the_message breaks a_rejected_message_is_gone_from_its_queue
        by Breakage::by(|| Receivers(Leaves::default));
    a_reject_that_only_gives_back breaks a_rejected_message_is_gone_from_its_queue
        by rejecting(|| Fate::Sent(AT_ONCE));
    a_reject_into_nothing breaks a_reject_fails_and_the_message_stays_where_there_are_no_dead_letters
        by rejecting(|| Fate::Sent(Verdict::Ack)).under(no_dead_letters());
    a_failed_reject_that_consumes breaks a_reject_fails_and_the_message_stays_where_there_are_no_dead_letters
        by rejecting(|| Fate::SentAnd(Verdict::Ack, unsupported())).under(no_dead_letters());
    a_failed_reject_that_gives_back breaks a_reject_fails_and_the_message_stays_where_there_are_no_dead_letters
        by rejecting(|| Fate::SentAnd(AT_ONCE, unsupported())).under(no_dead_letters());
}

pub(crate) fn rejecting(fate: fn() -> Fate) -> Breakage {
    settling(move |verdict| match verdict {
        Verdict::Reject { .. } => fate(),
        verdict => Fate::Sent(verdict),
    })
}

/// Hands out messages without the header `name`.
pub(crate) fn without(name: &'static str) -> Breakage {
    handing_out(move |forgery| forgery.message.headers_mut().remove(name))
}

fn no_dead_letters() -> MemoryOptions {
    MemoryOptions { dead_letters: false, ..MemoryOptions::default() }
}

/// Rejects a message and hands it out again.
#[derive(Default)]
struct Leaves {
    known: Mutex<BTreeMap<Token, Message>>,
    left: Mutex<Vec<Message>>,
}

#[async_trait]
impl ReceiverLayer for Leaves {
    async fn receive(&self, max: usize, into: &mut Vec<Delivery>, next: &dyn Receiver) -> Result<()> {
        if let Some(message) = self.left.lock().expect("no panic").pop() {
            let token = Token { slot: u64::MAX, epoch: u64::MAX };
            into.push(Delivery::new(message, token, Lease { deadline: None }, None, Arc::new(Nobody)));
            return Ok(());
        }
        next.receive(max, into).await?;
        let known = into.iter().map(|delivery| (delivery.token(), delivery.message().clone()));
        self.known.lock().expect("no panic").extend(known);
        Ok(())
    }

    async fn settle(&self, batch: Vec<Settlement>, next: &dyn Receiver) -> Vec<SettleOutcome> {
        let rejects = batch.iter().filter(|settlement| matches!(settlement.verdict(), Verdict::Reject { .. }));
        let left: Vec<Message> = {
            let known = self.known.lock().expect("no panic");
            rejects.filter_map(|settlement| known.get(&settlement.token()).cloned()).collect()
        };
        self.left.lock().expect("no panic").extend(left);
        next.settle(batch).await
    }
}
