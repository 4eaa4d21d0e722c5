//! Broken promises about what a bus shows and what it costs.

use async_trait::async_trait;
use bus::layer::Layer;
use bus::{Bus, BusExt, Outgoing, PublishOutcome};

use crate::breakage::Breakage;
use crate::wire::{PASSWORD, Wire};

breakages! {
    a_secret_in_an_error breaks secrets_appear_in_no_debug_no_error_and_no_log_line
        by Breakage::by(|| NamesItsUrl).over(Wire::with);
    a_secret_in_the_debug_of_the_bus breaks secrets_appear_in_no_debug_no_error_and_no_log_line
        by Breakage::by(|| Holds { _password: PASSWORD }).over(Wire::with);
    a_secret_in_a_log_line breaks secrets_appear_in_no_debug_no_error_and_no_log_line
        by Breakage::by(|| Logs).over(Wire::with);
    a_secret_in_what_an_outage_causes breaks secrets_appear_in_nothing_that_an_outage_causes
        by Breakage::by(|| NamesItsUrl).over(Wire::with);
    a_call_for_each_message breaks a_thousand_messages_cost_no_more_calls_than_stated
        by Breakage::by(|| CallsForEach).over(Wire::with);
}

/// Adds to each error where it was connected to.
#[derive(Debug)]
struct NamesItsUrl;

#[async_trait]
impl Layer for NamesItsUrl {
    async fn publish(&self, batch: Vec<Outgoing>, next: &dyn Bus) -> Vec<PublishOutcome> {
        let url = format!("wire://orders:{PASSWORD}@broker.example");
        let named = |outcome| match outcome {
            PublishOutcome::Refused(error) => PublishOutcome::Refused(error.with("url", &url)),
            outcome => outcome,
        };
        next.publish(batch).await.into_iter().map(named).collect()
    }
}

/// Shows all it has.
#[derive(Debug)]
struct Holds {
    _password: &'static str,
}

impl Layer for Holds {}

#[derive(Debug)]
struct Logs;

#[async_trait]
impl Layer for Logs {
    async fn publish(&self, batch: Vec<Outgoing>, next: &dyn Bus) -> Vec<PublishOutcome> {
        tracing::debug!(password = PASSWORD, "publishing");
        next.publish(batch).await
    }
}

/// Sends messages one by one.
#[derive(Debug)]
struct CallsForEach;

#[async_trait]
impl Layer for CallsForEach {
    async fn publish(&self, batch: Vec<Outgoing>, next: &dyn Bus) -> Vec<PublishOutcome> {
        let mut outcomes = Vec::with_capacity(batch.len());
        for outgoing in batch {
            outcomes.push(next.publish_one(outgoing).await);
        }
        outcomes
    }
}
