//! Broken promises of delays.

use std::time::Duration;

use async_trait::async_trait;
use bus::layer::Layer;
use bus::{Bus, Error, ErrorKind, Outgoing, PublishOutcome, Receipt};
use bus_memory::MemoryOptions;
use bus_memory::options::DELAY_MAX;

use crate::breakage::Breakage;
use crate::layers::AnswersPublish;
use crate::wire::Wire;

breakages! {
    a_delay_cut_short breaks a_delayed_message_is_not_early_and_comes
        by delaying(|delay| delay.mul_f64(0.99));
    a_delayed_message_that_never_comes breaks a_delayed_message_is_not_early_and_comes
        by Breakage::by(|| SwallowsDelayed);
    a_delay_that_holds_up_a_shorter_one breaks each_delay_of_a_batch_passes_at_its_own_time
        by Breakage::by(|| InLine);
    a_delay_for_the_whole_batch breaks each_delay_of_a_batch_passes_at_its_own_time
        by delaying(|_| Duration::from_secs(1));
    a_delay_beyond_the_cap_cut_to_it breaks a_delay_beyond_the_cap_is_unsupported_and_the_rest_of_its_batch_passes
        by delaying(|delay| delay.min(DELAY_MAX));
    a_batch_refused_for_one_delay breaks a_delay_beyond_the_cap_is_unsupported_and_the_rest_of_its_batch_passes
        by Breakage::by(|| AnswersPublish(all_refused));
    a_delay_kept_by_the_client_alone breaks a_delay_survives_a_restart
        by Breakage::by(|| SwallowsDelayed).over(Wire::with);
    a_delay_forgotten_over_a_restart breaks a_delay_survives_a_restart
        by delaying(|_| Duration::ZERO).over(Wire::with);
    a_delay_ignored_where_there_is_none
        breaks without_delays_a_delayed_message_is_unsupported_and_the_rest_of_its_batch_passes
        by delaying(|_| Duration::ZERO).under(MemoryOptions { delay_max: None, ..MemoryOptions::default() });
}

fn delaying(change: fn(Duration) -> Duration) -> Breakage {
    Breakage::by(move || Delays(change))
}

fn all_refused(outcomes: Vec<PublishOutcome>) -> Vec<PublishOutcome> {
    let refused = |_| PublishOutcome::Refused(Error::new(ErrorKind::Unsupported, "publish", "not so long"));
    if outcomes.iter().all(PublishOutcome::is_accepted) { outcomes } else { outcomes.iter().map(refused).collect() }
}

/// Delays by another time than asked for.
#[derive(Debug)]
struct Delays(fn(Duration) -> Duration);

#[async_trait]
impl Layer for Delays {
    async fn publish(&self, batch: Vec<Outgoing>, next: &dyn Bus) -> Vec<PublishOutcome> {
        let changed = |outgoing: Outgoing| {
            let delay = (self.0)(outgoing.delay());
            outgoing.delayed(delay)
        };
        next.publish(batch.into_iter().map(changed).collect()).await
    }
}

/// Lets no message of a batch out before the one ahead of it, as a wait queue with a time to live does.
#[derive(Debug)]
struct InLine;

#[async_trait]
impl Layer for InLine {
    async fn publish(&self, batch: Vec<Outgoing>, next: &dyn Bus) -> Vec<PublishOutcome> {
        let mut longest = Duration::ZERO;
        let lined_up = batch.into_iter().map(|outgoing| {
            longest = longest.max(outgoing.delay());
            outgoing.delayed(longest)
        });
        next.publish(lined_up.collect()).await
    }
}

/// Accepts delayed messages and has them no more.
#[derive(Debug)]
struct SwallowsDelayed;

#[async_trait]
impl Layer for SwallowsDelayed {
    async fn publish(&self, mut batch: Vec<Outgoing>, next: &dyn Bus) -> Vec<PublishOutcome> {
        let count = batch.len();
        batch.retain(|outgoing| outgoing.delay().is_zero());
        let mut outcomes = next.publish(batch).await;
        outcomes.resize_with(count, || PublishOutcome::Accepted(Receipt::default()));
        outcomes
    }
}
