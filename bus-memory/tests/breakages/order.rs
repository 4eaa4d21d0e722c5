//! Broken promises of order per key.

use std::time::Duration;

use async_trait::async_trait;
use bus::capability::Order;
use bus::layer::ReceiverLayer;
use bus::{MessageKey, Receiver, Unsettled, Verdict};
use bus_memory::MemoryOptions;

use crate::breakage::Breakage;
use crate::layers::{AT_ONCE, Fate, Mangles, Receivers, handing_out, settling};

breakages! {
    a_key_given_to_two_receivers breaks a_key_keeps_its_order_over_competing_receivers
        by unordered(Breakage::unlayered());
    a_nacked_message_that_lets_the_next_pass breaks a_key_keeps_its_order_over_a_nack
        by unordered(settling(a_little_later));
    a_delayed_nack_that_lets_the_next_pass
        breaks nothing_overtakes_a_message_of_its_key_that_was_nacked_with_a_delay
        by unordered(Breakage::unlayered());
    a_delayed_nack_that_comes_at_once
        breaks nothing_overtakes_a_message_of_its_key_that_was_nacked_with_a_delay
        by settling(|verdict| Fate::Sent(match verdict {
            Verdict::Nack { .. } => AT_ONCE,
            verdict => verdict,
        }));
    a_dropped_delivery_that_blocks_its_key breaks a_key_keeps_its_order_over_a_dropped_delivery
        by handing_out(|forgery| forgery.returns = false);
    a_follower_that_overtakes_an_expired_head
        breaks a_key_keeps_its_order_when_its_holder_crashes_and_its_lease_expires
        by unordered(Breakage::unlayered());
    a_follower_that_overtakes_a_leaving_holder
        breaks a_key_keeps_its_order_when_its_holder_closes_and_another_goes_on
        by unordered(Breakage::unlayered());
    a_holder_that_takes_its_messages_along
        breaks a_key_keeps_its_order_when_its_holder_closes_and_another_goes_on
        by Breakage::by(|| Receivers(|| KeepsWhenClosed));
    followers_that_never_come_back breaks followers_in_hand_come_back_behind_their_head
        by Breakage::by(|| Receivers(|| SwallowsReleases));
    one_key_for_all breaks a_key_in_hand_holds_no_other_key_up
        by Breakage::by(|| Mangles(|message| message.with_key(MessageKey::new("one").expect("a legal key"))));
}

/// Around a bus without order that claims to have it.
fn unordered(breakage: Breakage) -> Breakage {
    breakage
        .around(MemoryOptions { order: Order::None, ..MemoryOptions::default() })
        .claiming(|capability| capability.order = Order::PerKey)
}

fn a_little_later(verdict: Verdict) -> Fate {
    Fate::Sent(match verdict {
        Verdict::Nack { .. } => Verdict::Nack { after: Duration::from_millis(1) },
        verdict => verdict,
    })
}

/// Stops at a close, and holds what it has until the leases end.
pub(crate) struct KeepsWhenClosed;

#[async_trait]
impl ReceiverLayer for KeepsWhenClosed {
    async fn close(&self, next: &dyn Receiver) {
        next.stop();
    }
}

/// Forgets what it is to give back: it stays out until its lease ends.
pub(crate) struct SwallowsReleases;

#[async_trait]
impl ReceiverLayer for SwallowsReleases {
    async fn release(&self, unstarted: Vec<Unsettled>, _: &dyn Receiver) {
        for one in unstarted {
            let _ = one.discharge();
        }
    }
}
