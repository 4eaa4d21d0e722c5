//! Broken promises about when a lease ends, and how that is told.

use std::time::Duration;

use async_trait::async_trait;
use bus::capability::LeaseTerms;
use bus::layer::ReceiverLayer;
use bus::{Delivery, Lease, Receiver, Result, Seams, SettleOutcome, Token};
use bus_memory::MemoryOptions;
use bus_memory::options::{LEASE, LEASE_TOTAL_MAX};

use crate::breakage::Breakage;
use crate::forged::forged;
use crate::layers::{Receivers, Subscribes, answering, handing_out};

const SECOND: Duration = Duration::from_secs(1);

breakages! {
    a_lease_that_never_ends breaks an_ended_lease_redelivers_while_the_first_handler_still_has_the_delivery
        by never_ending();
    a_lease_that_ends_early breaks an_ended_lease_redelivers_while_the_first_handler_still_has_the_delivery
        by Breakage::timed(|seams| {
            let seams = seams.clone();
            Receivers(move || Promises(seams.clone(), 10 * SECOND))
        });
    a_lease_that_is_not_told breaks a_delivery_tells_when_its_lease_ends
        by handing_out(|forgery| forgery.lease = Lease { deadline: None });
    a_lease_told_longer_than_asked_for breaks a_delivery_tells_when_its_lease_ends
        by handing_out(|forgery| forgery.lease.deadline = forgery.lease.deadline.map(|end| end + SECOND));
    the_wish_for_a_lease_ignored breaks a_receiver_chooses_its_lease
        by Breakage::by(|| Subscribes(|_, options| options.lease = None));
    a_late_settlement_answered_settled
        breaks settling_after_the_lease_was_lost_is_lease_lost_and_settles_nothing
        by answering(|outcomes| outcomes.iter().map(|_| SettleOutcome::Settled).collect());
    a_late_settlement_that_settles breaks settling_after_the_lease_was_lost_is_lease_lost_and_settles_nothing
        by never_ending();
    lost_that_says_nothing breaks lost_names_exactly_the_lost_leases_without_anybody_receiving
        by Breakage::by(|| Receivers(|| Tells(|_| Vec::new())));
    lost_that_names_others breaks lost_names_exactly_the_lost_leases_without_anybody_receiving
        by Breakage::by(|| Receivers(|| Tells(|mut lost| {
            lost.extend(lost.first().map(|token| Token { epoch: token.epoch - 1, ..*token }));
            lost
        })));
    lost_that_names_one_of_two breaks lost_names_exactly_the_lost_leases_without_anybody_receiving
        by Breakage::by(|| Receivers(|| Tells(|mut lost| {
            lost.truncate(1);
            lost
        })));
    a_dropped_lost_call_that_forgets breaks a_dropped_lost_call_loses_nothing
        by Breakage::by(|| Receivers(|| Forgets));
    a_lease_where_there_is_none breaks a_delivery_is_held_until_settled_where_there_are_no_leases
        by handing_out(|forgery| forgery.lease = Lease { deadline: None }).under(unleased())
            .around(MemoryOptions::default()).claiming(|capability| capability.lease.duration = None);
}

pub(crate) fn unleased() -> MemoryOptions {
    let lease = LeaseTerms { duration: None, extendable: true, total_max: Some(LEASE_TOTAL_MAX) };
    MemoryOptions { lease, ..MemoryOptions::default() }
}

/// A bus that promises leases of three seconds and holds deliveries until they are settled.
fn never_ending() -> Breakage {
    let breakage = Breakage::timed(|seams| {
        let seams = seams.clone();
        Receivers(move || Promises(seams.clone(), 3 * SECOND))
    });
    breakage.around(unleased()).claiming(|capability| capability.lease.duration = Some(LEASE))
}

/// Tells of leases of this length, whatever they are.
struct Promises(Seams, Duration);

#[async_trait]
impl ReceiverLayer for Promises {
    async fn receive(&self, max: usize, into: &mut Vec<Delivery>, next: &dyn Receiver) -> Result<()> {
        let mut received = Vec::new();
        next.receive(max, &mut received).await?;
        let lease = Lease { deadline: Some(self.0.clock.now() + self.1) };
        into.extend(received.into_iter().map(|delivery| forged(delivery, |forgery| forgery.lease = lease)));
        Ok(())
    }
}

/// Tells of other lost leases; of none: it goes on waiting.
struct Tells(fn(Vec<Token>) -> Vec<Token>);

#[async_trait]
impl ReceiverLayer for Tells {
    async fn lost(&self, next: &dyn Receiver) -> Vec<Token> {
        loop {
            let told = (self.0)(next.lost().await);
            if !told.is_empty() {
                return told;
            }
        }
    }
}

/// Takes what is lost, and is interrupted.
struct Forgets;

#[async_trait]
impl ReceiverLayer for Forgets {
    async fn lost(&self, next: &dyn Receiver) -> Vec<Token> {
        let lost = next.lost().await;
        tokio::task::yield_now().await;
        lost
    }
}
