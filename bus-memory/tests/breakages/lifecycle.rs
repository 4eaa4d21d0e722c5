//! Broken promises of stopping, closing and going on.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bus::layer::{Layer, ReceiverLayer, layered_receiver};
use bus::{
    Bus, Declaration, Delivery, Error, ErrorKind, Outgoing, PublishOutcome, Receipt, Receiver, Result, SettleOutcome,
    Settlement, SubscribeOptions, Subscription,
};

use crate::breakage::Breakage;
use crate::layers::{Fate, Receivers, answering, settling};
use crate::order::KeepsWhenClosed;
use crate::wire::Wire;

breakages! {
    a_second_close_that_fails breaks closing_twice_is_no_error
        by Breakage::by(ClosesOnce::default);
    a_close_that_hangs breaks closing_twice_is_no_error
        by Breakage::by(|| NeverCloses);
    a_receive_that_never_ends_after_close breaks closing_ends_a_blocked_receive
        by Breakage::by(|| Receivers(|| WaitsForever));
    a_settlement_after_close_that_is_answered_settled
        breaks a_closed_bus_settles_what_it_had_in_hand_no_more
        by always_settled();
    a_close_that_swallows_what_is_in_hand breaks what_a_closed_bus_had_in_hand_comes_again_after_a_reconnect
        by Breakage::by(HoldsOn::default).over(Wire::with);
    settlements_that_close_does_not_flush breaks settlements_answered_before_a_close_hold_after_a_reconnect
        by settling(|_| Fate::Forgotten(SettleOutcome::Settled)).over(Wire::with);
    a_settlement_under_way_answered_lost breaks settlements_under_way_while_the_bus_closes_are_answered_truly
        by answering(|outcomes| outcomes.iter().map(|_| SettleOutcome::LeaseLost).collect()).over(Wire::with);
    an_accepted_message_that_close_does_not_flush breaks accepted_messages_are_there_after_a_reconnect
        by Breakage::by(|| KeepsTheLastBack).over(Wire::with);
    a_receive_that_outlives_its_stop breaks stopping_ends_a_blocked_receive_and_settling_goes_on
        by Breakage::by(|| Receivers(|| WaitsForever));
    a_stop_that_loses_settlements breaks stopping_ends_a_blocked_receive_and_settling_goes_on
        by Breakage::by(|| Receivers(|| StopsSettling { is_over: Arc::default(), answer: || SettleOutcome::Settled }));
    a_closed_receiver_that_keeps_what_it_has breaks a_closed_receiver_gives_what_it_had_to_another
        by Breakage::by(|| Receivers(|| KeepsWhenClosed));
    a_closed_receiver_that_still_settles breaks a_closed_receiver_gives_what_it_had_to_another
        by always_settled();
    a_dropped_receiver_that_lives_on breaks a_dropped_receiver_gives_what_it_had_to_another
        by Breakage::by(NeverDrops::default);
    a_closed_bus_that_declares breaks every_call_after_close_is_closed
        by Breakage::by(|| DeclaresAlways);
    a_connection_that_cannot_close breaks ten_connections_open_and_close_at_once
        by Breakage::by(|| NeverCloses).over(Wire::with);
    a_permit_leaked_by_each_refusal breaks the_bus_goes_on_after_three_times_a_hundred_errors
        by Breakage::by(LeaksPermits::default);
}

fn always_settled() -> Breakage {
    answering(|outcomes| outcomes.iter().map(|_| SettleOutcome::Settled).collect())
}

/// Answers an error when it is closed already.
#[derive(Debug, Default)]
struct ClosesOnce(AtomicBool);

#[async_trait]
impl Layer for ClosesOnce {
    async fn close(&self, deadline: Duration, next: &dyn Bus) -> Result<()> {
        if self.0.swap(true, Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::Closed, "close", "it is closed"));
        }
        next.close(deadline).await
    }
}

#[derive(Debug)]
struct NeverCloses;

#[async_trait]
impl Layer for NeverCloses {
    async fn close(&self, _: Duration, _: &dyn Bus) -> Result<()> {
        std::future::pending().await
    }
}

/// Says that it is closed, and lets go of nothing.
#[derive(Debug, Default)]
struct HoldsOn(Arc<AtomicBool>);

#[async_trait]
impl Layer for HoldsOn {
    async fn subscribe(
        &self,
        subscription: &Subscription,
        options: SubscribeOptions,
        next: &dyn Bus,
    ) -> Result<Arc<dyn Receiver>> {
        let receiver = next.subscribe(subscription, options).await?;
        Ok(layered_receiver(
            receiver,
            StopsSettling { is_over: Arc::clone(&self.0), answer: || SettleOutcome::LeaseLost },
        ))
    }

    async fn close(&self, _: Duration, _: &dyn Bus) -> Result<()> {
        self.0.store(true, Ordering::SeqCst);
        Ok(())
    }
}

/// Goes on waiting when there is nothing to wait for any more.
struct WaitsForever;

#[async_trait]
impl ReceiverLayer for WaitsForever {
    async fn receive(&self, max: usize, into: &mut Vec<Delivery>, next: &dyn Receiver) -> Result<()> {
        if next.receive(max, into).await.is_err() {
            std::future::pending::<()>().await;
        }
        Ok(())
    }
}

/// Accepts a batch and writes its last message later, which is too late.
#[derive(Debug)]
struct KeepsTheLastBack;

#[async_trait]
impl Layer for KeepsTheLastBack {
    async fn publish(&self, mut batch: Vec<Outgoing>, next: &dyn Bus) -> Vec<PublishOutcome> {
        batch.pop();
        let mut outcomes = next.publish(batch).await;
        outcomes.push(PublishOutcome::Accepted(Receipt::default()));
        outcomes
    }
}

/// Answers settlements after a stop, or when it is over, and sends them nowhere.
struct StopsSettling {
    is_over: Arc<AtomicBool>,
    answer: fn() -> SettleOutcome,
}

#[async_trait]
impl ReceiverLayer for StopsSettling {
    async fn settle(&self, batch: Vec<Settlement>, next: &dyn Receiver) -> Vec<SettleOutcome> {
        if self.is_over.load(Ordering::SeqCst) {
            return batch.into_iter().map(Settlement::into_parts).map(|_| (self.answer)()).collect();
        }
        next.settle(batch).await
    }

    fn stop(&self, next: &dyn Receiver) {
        self.is_over.store(true, Ordering::SeqCst);
        next.stop();
    }
}

/// Knows every receiver, so that none ends.
#[derive(Default)]
struct NeverDrops(Mutex<Vec<Arc<dyn Receiver>>>);

#[async_trait]
impl Layer for NeverDrops {
    async fn subscribe(
        &self,
        subscription: &Subscription,
        options: SubscribeOptions,
        next: &dyn Bus,
    ) -> Result<Arc<dyn Receiver>> {
        let receiver = next.subscribe(subscription, options).await?;
        self.0.lock().expect("no panic").push(Arc::clone(&receiver));
        Ok(receiver)
    }
}

impl fmt::Debug for NeverDrops {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NeverDrops")
    }
}

#[derive(Debug)]
struct DeclaresAlways;

#[async_trait]
impl Layer for DeclaresAlways {
    async fn declare(&self, declarations: &[Declaration], next: &dyn Bus) -> Result<()> {
        let _ = next.declare(declarations).await;
        Ok(())
    }
}

/// Has a permit for each publish, and gets it back from those that are accepted.
#[derive(Debug, Default)]
struct LeaksPermits(AtomicUsize);

#[async_trait]
impl Layer for LeaksPermits {
    async fn publish(&self, batch: Vec<Outgoing>, next: &dyn Bus) -> Vec<PublishOutcome> {
        if self.0.load(Ordering::SeqCst) >= 64 {
            std::future::pending::<()>().await;
        }
        let outcomes = next.publish(batch).await;
        let leaked_count = outcomes.iter().filter(|outcome| !outcome.is_accepted()).count();
        self.0.fetch_add(leaked_count, Ordering::SeqCst);
        outcomes
    }
}
