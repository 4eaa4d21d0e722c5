//! Broken promises about what a settlement does.

use std::time::Duration;

use bus::{SettleOutcome, Verdict};
use bus_memory::MemoryOptions;

use crate::breakage::Breakage;
use crate::layers::{AT_ONCE, Fate, handing_out, settling, unsupported};

const SECOND: Duration = Duration::from_secs(1);
breakages! {
    an_ack_that_consumes_nothing breaks an_acked_message_is_gone_for_good
        by settling(|verdict| Fate::Sent(if verdict == Verdict::Ack { AT_ONCE } else { verdict }));
    an_ack_that_holds_until_the_lease_ends breaks an_acked_message_is_gone_for_good
        by settling(|verdict| match verdict {
            Verdict::Ack => Fate::Forgotten(SettleOutcome::Settled),
            verdict => Fate::Sent(verdict),
        });
    a_nack_that_consumes breaks a_nacked_message_comes_again_at_once
        by settling(|verdict| Fate::Sent(if verdict == AT_ONCE { Verdict::Ack } else { verdict }));
    a_nack_that_waits_for_the_end_of_the_lease breaks a_nacked_message_comes_again_at_once
        by settling(|verdict| match verdict {
            Verdict::Nack { .. } => Fate::Forgotten(SettleOutcome::Settled),
            verdict => Fate::Sent(verdict),
        });
    a_nack_delay_lost breaks a_nack_delay_is_never_cut_short_and_the_message_comes
        by nacking(|_| Fate::Sent(AT_ONCE));
    a_nack_delay_cut_short breaks a_nack_delay_is_never_cut_short_and_the_message_comes
        by nacking(|after| Fate::Sent(Verdict::Nack { after: after.mul_f64(0.99) }));
    a_long_nack_delay_that_loses_the_message breaks a_nack_delay_is_never_cut_short_and_the_message_comes
        by nacking(|after| Fate::Sent(if after > 3 * SECOND { Verdict::Ack } else { Verdict::Nack { after } }));
    a_nack_delay_over_the_cap_answered_settled breaks a_nack_delay_over_the_cap_fails_and_the_delivery_stays_ours
        by nacking(|after| Fate::Sent(Verdict::Nack { after: after.min(SECOND) }));
    a_refused_nack_that_gives_back breaks a_nack_delay_over_the_cap_fails_and_the_delivery_stays_ours
        by nacking(|_| Fate::SentAnd(AT_ONCE, unsupported()));
    a_refused_nack_that_consumes breaks a_nack_delay_over_the_cap_fails_and_the_delivery_stays_ours
        by nacking(|_| Fate::SentAnd(Verdict::Ack, unsupported()));
    a_nack_delay_that_is_not_claimed breaks a_nack_returns_at_once_where_there_are_no_nack_delays
        by settling(Fate::Sent).under(MemoryOptions { nack_delay_max: None, ..MemoryOptions::default() })
            .around(MemoryOptions::default()).claiming(|capability| capability.nack_delay_max = None);
    a_dropped_delivery_that_never_returns breaks a_dropped_delivery_comes_again_at_once
        by handing_out(|forgery| forgery.returns = false);
    an_unsent_decision_that_holds_the_delivery breaks a_decision_dropped_unsent_is_none
        by handing_out(|forgery| forgery.returns = false);
    a_receive_count_that_stands_still breaks the_receive_count_grows_by_one_with_each_hand_out
        by handing_out(|forgery| forgery.receive_count = Some(1));
    a_receive_count_not_told breaks the_receive_count_grows_by_one_with_each_hand_out
        by handing_out(|forgery| forgery.receive_count = None);
    a_receive_count_made_up breaks no_receive_count_is_told_where_none_is_kept
        by handing_out(|forgery| forgery.receive_count = Some(1))
            .under(MemoryOptions { receive_count: false, ..MemoryOptions::default() });
}

/// What becomes of nacks with a delay.
fn nacking(fate: fn(Duration) -> Fate) -> Breakage {
    settling(move |verdict| match verdict {
        Verdict::Nack { after } if !after.is_zero() => fate(after),
        verdict => Fate::Sent(verdict),
    })
}
