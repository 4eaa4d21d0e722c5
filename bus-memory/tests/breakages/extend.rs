//! Broken promises about extensions.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bus::capability::LeaseTerms;
use bus::layer::ReceiverLayer;
use bus::{Clock, ExtendOutcome, Moment, Receiver, Token};
use bus_memory::MemoryOptions;
use bus_memory::options::LEASE_TOTAL_MAX;

use crate::breakage::Breakage;
use crate::layers::Receivers;
use crate::lease::unleased;

breakages! {
    an_extension_answered_and_not_done breaks an_extended_delivery_stays_ours_beyond_the_first_end_of_its_lease
        by extending(|_| None);
    an_extension_that_ends_before_it_was_said_to breaks an_extended_lease_ends_when_it_was_said_to
        by extending(|by| Some(by / 2));
    an_extension_for_ever breaks an_extended_lease_ends_when_it_was_said_to
        by extending(|by| Some(1_000 * by));
    extension_outcomes_out_of_order breaks extensions_are_answered_one_each_and_in_input_order
        by answering(|mut outcomes| {
            outcomes.reverse();
            outcomes
        });
    an_extension_outcome_swallowed breaks extensions_are_answered_one_each_and_in_input_order
        by answering(|outcomes| {
            outcomes.into_iter().filter(|outcome| matches!(outcome, ExtendOutcome::Until(_))).collect()
        });
    a_late_extension_answered_until breaks an_extension_after_the_end_is_lease_lost_and_brings_nothing_back
        by answering(always);
    no_cap_on_extensions breaks extensions_end_at_the_cap_and_so_does_the_lease
        by uncapped(Breakage::unlayered());
    a_cap_answered_while_the_lease_goes_on breaks extensions_end_at_the_cap_and_so_does_the_lease
        by uncapped(Breakage::timed(|seams| {
            let clock = Arc::clone(&seams.clock);
            Receivers(move || SaysCapped { last_end: clock.now() + LEASE_TOTAL_MAX, clock: Arc::clone(&clock) })
        }));
    a_cap_answered_at_once breaks extensions_end_at_the_cap_and_so_does_the_lease
        by answering(|outcomes| outcomes.iter().map(|_| ExtendOutcome::Capped).collect());
    a_fixed_lease_extended breaks an_extension_is_refused_where_leases_are_fixed
        by answering(always).under(fixed());
    a_lease_extended_where_there_is_none breaks an_extension_is_refused_where_there_are_no_leases
        by answering(always).under(unleased());
}

/// Extends by another time than asked for, or not at all, and answers as asked.
fn extending(change: fn(Duration) -> Option<Duration>) -> Breakage {
    Breakage::timed(move |seams| {
        let clock = Arc::clone(&seams.clock);
        Receivers(move || Extends { clock: Arc::clone(&clock), change })
    })
}

fn answering(answer: fn(Vec<ExtendOutcome>) -> Vec<ExtendOutcome>) -> Breakage {
    Breakage::by(move || Receivers(move || AnswersExtend(answer)))
}

fn always(outcomes: Vec<ExtendOutcome>) -> Vec<ExtendOutcome> {
    outcomes.into_iter().map(|_| ExtendOutcome::Until(Moment::from_origin(Duration::MAX))).collect()
}

fn fixed() -> MemoryOptions {
    with(LeaseTerms { extendable: false, ..MemoryOptions::default().lease })
}

/// A bus without a cap that claims to have one.
fn uncapped(breakage: Breakage) -> Breakage {
    let options = with(LeaseTerms { total_max: None, ..MemoryOptions::default().lease });
    breakage.around(options).claiming(|capability| capability.lease.total_max = Some(LEASE_TOTAL_MAX))
}

fn with(lease: LeaseTerms) -> MemoryOptions {
    MemoryOptions { lease, ..MemoryOptions::default() }
}

struct Extends {
    clock: Arc<dyn Clock>,
    change: fn(Duration) -> Option<Duration>,
}

#[async_trait]
impl ReceiverLayer for Extends {
    async fn extend(&self, tokens: &[Token], by: Duration, next: &dyn Receiver) -> Vec<ExtendOutcome> {
        if let Some(by) = (self.change)(by) {
            let _ = next.extend(tokens, by).await;
        }
        tokens.iter().map(|_| ExtendOutcome::Until(self.clock.now() + by)).collect()
    }
}

struct AnswersExtend(fn(Vec<ExtendOutcome>) -> Vec<ExtendOutcome>);

#[async_trait]
impl ReceiverLayer for AnswersExtend {
    async fn extend(&self, tokens: &[Token], by: Duration, next: &dyn Receiver) -> Vec<ExtendOutcome> {
        (self.0)(next.extend(tokens, by).await)
    }
}

/// Says that the cap is reached, and extends nevertheless.
struct SaysCapped {
    clock: Arc<dyn Clock>,
    last_end: Moment,
}

#[async_trait]
impl ReceiverLayer for SaysCapped {
    async fn extend(&self, tokens: &[Token], by: Duration, next: &dyn Receiver) -> Vec<ExtendOutcome> {
        if self.clock.now() + by <= self.last_end {
            return next.extend(tokens, by).await;
        }
        let _ = next.extend(tokens, 4 * by).await;
        tokens.iter().map(|_| ExtendOutcome::Capped).collect()
    }
}
