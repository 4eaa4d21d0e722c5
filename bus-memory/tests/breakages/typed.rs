//! Broken promises of the typed front.

use bus::{SettleOutcome, Verdict};

use crate::layers::{Fate, settling};

breakages! {
    an_unreadable_value_that_is_dropped
        breaks an_unreadable_value_is_quarantined_with_its_bytes_and_the_next_one_flows
        by settling(|verdict| match verdict {
            Verdict::Reject { .. } => Fate::SentAnd(Verdict::Ack, SettleOutcome::Settled),
            verdict => Fate::Sent(verdict),
        });
}
