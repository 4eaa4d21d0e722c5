//! Broken promises of what is declared, counted and emptied.

use async_trait::async_trait;
use bus::capability::Counting;
use bus::layer::Layer;
use bus::{Bus, Declaration, Depth, Error, ErrorKind, Result, Subscription};
use bus_memory::MemoryOptions;

use crate::breakage::Breakage;

breakages! {
    a_declaration_that_empties breaks declaring_again_changes_nothing_and_forgets_nothing
        by Breakage::by(|| EmptiesDeclared);
    a_declaration_that_cannot_be_repeated breaks declaring_again_changes_nothing_and_forgets_nothing
        by Breakage::by(|| DeclaresOnce);
    a_further_group_that_empties_the_first breaks declaring_a_further_group_takes_nothing_from_the_others
        by Breakage::by(|| EmptiesDeclared);
    a_conflict_not_told breaks a_name_that_would_be_a_destination_and_a_group_is_a_conflict_that_names_both
        by Breakage::by(|| AnswersDeclare(|_| Ok(())));
    a_conflict_that_names_nothing
        breaks a_name_that_would_be_a_destination_and_a_group_is_a_conflict_that_names_both
        by Breakage::by(|| AnswersDeclare(|error| Err(Error::new(error.kind(), "declare", "a conflict"))));
    a_depth_without_what_is_in_flight breaks depth_counts_what_waits_and_what_is_in_flight
        by counting(|depth| depth.map(|depth| Depth { in_flight_count: 0, ..depth }));
    a_depth_that_counts_one_twice breaks depth_counts_what_waits_and_what_is_in_flight
        by counting(|depth| depth.map(|depth| Depth { ready_count: depth.total_count(), ..depth }));
    a_depth_that_takes_delayed_for_ready breaks depth_counts_what_is_delayed
        by counting(|depth| depth.map(|depth| Depth {
            ready_count: depth.ready_count + depth.delayed_count,
            delayed_count: 0,
            ..depth
        }));
    a_depth_of_nothing breaks depth_comes_right_when_nothing_moves
        by counting(|depth| depth.map(|_| Depth::default()));
    an_undeclared_subscription_that_is_empty breaks depth_of_what_was_never_declared_is_not_found
        by counting(|depth| Ok(depth.unwrap_or_default()));
    a_depth_made_up breaks a_bus_that_does_not_count_says_so
        by counting(|depth| Ok(depth.unwrap_or_default()))
            .under(MemoryOptions { depth: Counting::None, ..MemoryOptions::default() });
    a_purge_that_leaves_everything breaks purge_removes_what_waits_and_the_bus_goes_on
        by Breakage::by(|| Purges { is_done: false, answer: |answer| answer });
    a_purge_that_leaves_what_is_delayed breaks purge_removes_what_is_delayed
        by Breakage::by(|| Purges { is_done: false, answer: |answer| answer });
    a_purge_that_leaves_what_is_parked
        breaks purge_behind_a_message_in_flight_leaves_its_settlement_and_its_key_in_order
        by Breakage::by(|| Purges { is_done: false, answer: |answer| answer });
    a_purge_of_nothing_that_works breaks purge_of_what_was_never_declared_is_not_found
        by Breakage::by(|| Purges { is_done: true, answer: |_| Ok(()) });
    a_purge_that_is_not_done breaks a_bus_that_does_not_purge_says_so
        by Breakage::by(|| Purges { is_done: true, answer: |_| Ok(()) })
            .under(MemoryOptions { purge: false, ..MemoryOptions::default() });
}

fn counting(answer: fn(Result<Depth>) -> Result<Depth>) -> Breakage {
    Breakage::by(move || Counts(answer))
}

/// Makes what is declared anew.
#[derive(Debug)]
struct EmptiesDeclared;

#[async_trait]
impl Layer for EmptiesDeclared {
    async fn declare(&self, declarations: &[Declaration], next: &dyn Bus) -> Result<()> {
        next.declare(declarations).await?;
        for declaration in declarations {
            next.purge(&Subscription::to(declaration.destination.clone())).await?;
        }
        Ok(())
    }
}

/// Answers that what exists is a conflict.
#[derive(Debug)]
struct DeclaresOnce;

#[async_trait]
impl Layer for DeclaresOnce {
    async fn declare(&self, declarations: &[Declaration], next: &dyn Bus) -> Result<()> {
        for declaration in declarations {
            if next.depth(&Subscription::to(declaration.destination.clone())).await.is_ok() {
                return Err(Error::new(ErrorKind::Conflict, "declare", "it exists"));
            }
        }
        next.declare(declarations).await
    }
}

/// Answers a failed declaration otherwise.
#[derive(Debug)]
struct AnswersDeclare(fn(Error) -> Result<()>);

#[async_trait]
impl Layer for AnswersDeclare {
    async fn declare(&self, declarations: &[Declaration], next: &dyn Bus) -> Result<()> {
        next.declare(declarations).await.or_else(self.0)
    }
}

/// Counts otherwise.
#[derive(Debug)]
struct Counts(fn(Result<Depth>) -> Result<Depth>);

#[async_trait]
impl Layer for Counts {
    async fn depth(&self, subscription: &Subscription, next: &dyn Bus) -> Result<Depth> {
        (self.0)(next.depth(subscription).await)
    }
}

/// Purges or not, and answers otherwise.
#[derive(Debug)]
struct Purges {
    is_done: bool,
    answer: fn(Result<()>) -> Result<()>,
}

#[async_trait]
impl Layer for Purges {
    async fn purge(&self, subscription: &Subscription, next: &dyn Bus) -> Result<()> {
        let answer = if self.is_done { next.purge(subscription).await } else { Ok(()) };
        (self.answer)(answer)
    }
}
